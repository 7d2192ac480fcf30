import { userInfo } from 'node:os'

/** Who asks, as runs and the list of actions name them: `command line (anna)`. */
export function asker(): string {
  return `command line (${userName()})`
}

/** In a container the process's user may have no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return `user ${String(process.getuid?.() ?? '')}`
    throw error
  }
}
