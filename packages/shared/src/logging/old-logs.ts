import { readdirSync, rmSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { systemCode } from '@securyflex/shared/errors'

const keptMilliseconds = 14 * 24 * 60 * 60 * 1000
const ownName = /^[A-Za-z0-9-]+\.(?<host>.+)\.(?<pid>\d+)\.log(?:\.\d+)?$/

/**
 * Removes log files that nothing has been written to for 14 days, unless their process still runs here.
 * Of processes on other machines (each container is one) only the age is known.
 */
export function removeOldLogs(directory: string, now: number, report: (cause: unknown) => void): void {
  for (const name of logsIn(directory, report)) {
    try {
      const path = join(directory, name)
      if (now - statSync(path).mtimeMs > keptMilliseconds) rmSync(path)
    } catch (error) {
      // Another process that starts at the same moment may have removed it first.
      if (systemCode(error) === 'ENOENT') continue
      report(error)
      return
    }
  }
}

function logsIn(directory: string, report: (cause: unknown) => void): string[] {
  try {
    return readdirSync(directory).filter(isOfNoRunningProcess)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') report(error)
    return []
  }
}

function isOfNoRunningProcess(name: string): boolean {
  const parts = ownName.exec(name)?.groups
  if (parts === undefined) return false
  return parts['host'] !== hostname() || !isRunning(Number(parts['pid']))
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it runs, under another user.
    return systemCode(error) !== 'ESRCH'
  }
}
