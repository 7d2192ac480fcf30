import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

/** A command of the product that runs as a process of its own. */
export interface RunningCommand extends AsyncDisposable {
  readonly pid: number
  /** What it has written so far, both streams, line by line. */
  readonly lines: readonly string[]
  /** Waits for a line; fails if the command ends without it. */
  line(pattern: RegExp): Promise<RegExpExecArray>
  kill(signal: NodeJS.Signals): void
  /** The exit status; null if a signal ended it. */
  readonly ended: Promise<number | null>
}

const root = resolve(import.meta.dirname, '../..')

/** Starts `securyflex-backup <args>` with these settings over the environment; disposing of it kills it. */
export function startCommand(
  args: readonly string[],
  settings: Record<string, string>,
  directory = root,
): RunningCommand {
  const child = spawn(process.execPath, [join(root, 'apps/cli/src/main.ts'), ...args], {
    cwd: directory,
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  const listeners = new Set<() => void>()
  const tell = () => {
    for (const listener of listeners) listener()
  }
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      tell()
    })
  }
  let over = false
  const ended = once(child, 'close').then(() => {
    over = true
    tell()
    return child.exitCode
  })
  const line = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((done, fail) => {
      const look = () => {
        const match = lines.map((text) => pattern.exec(text)).find((found) => found !== null)
        if (match) done(match)
        else if (over) fail(new Error(`It ended without ${String(pattern)}:\n${lines.join('\n')}`))
        if (match || over) listeners.delete(look)
      }
      listeners.add(look)
      look()
    })
  return {
    pid: child.pid ?? 0,
    lines,
    line,
    kill: (signal) => void child.kill(signal),
    ended,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Whether a process of this number is there. */
export function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** Polls until `holds`, at most `limit` ms; while the machine stands still nobody looks, and that does not count. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limit = 30_000,
): Promise<void> {
  for (let looks = 0; !(await holds()); looks += 1) {
    if (looks * 25 > limit) throw new Error(`Not within ${limit} ms: ${what}`)
    await new Promise((done) => setTimeout(done, 25))
  }
}
