import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

/** A process that outlived the tests that started it. */
export interface Leftover {
  readonly pid: number
  readonly command: string
}

/**
 * Processes of this test run, other than the caller, its ancestors and its jest workers, still there after two seconds:
 * an ending process may need a moment. Only Linux shows another process's environment; elsewhere none is found.
 */
export async function leftoverProcesses(run: string, directory: string): Promise<Leftover[]> {
  const deadline = Date.now() + 2_000
  for (;;) {
    const found = processesOf(run, directory)
    if (found.length === 0 || Date.now() > deadline) return found
    await wait(50)
  }
}

/**
 * Redis and PostgreSQL write their title over their environment, so that their working directory or command line, which
 * lie in the run's own directory, must tell.
 */
function processesOf(run: string, directory: string): Leftover[] {
  if (!existsSync('/proc/self/environ')) return []
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
  return pids.flatMap((pid) => {
    const command = look(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim())
    if (command === '' || command.includes('jest-worker')) return []
    const environment = look(() => readFileSync(`/proc/${pid}/environ`, 'utf8'))
    const workingDirectory = look(() => readlinkSync(`/proc/${pid}/cwd`))
    const ours =
      environment.split('\0').includes(`SECURYFLEX_TEST_RUN=${run}`) ||
      `${workingDirectory}/`.startsWith(`${directory}/`) ||
      command.includes(directory)
    return ours ? [{ pid: Number(pid), command }] : []
  })
}

/** A process may end, or belong to somebody else, while it is looked at: then it shows nothing. */
function look(read: () => string): string {
  try {
    return read()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code)) return ''
    throw error
  }
}
