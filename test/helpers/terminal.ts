import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

const program = join(resolve(import.meta.dirname, '../..'), 'apps/cli/src/main.ts')
/** util-linux's `script`; the one of other systems takes other arguments. */
const script = '/usr/bin/script'

export const hasTerminals = process.platform === 'linux' && existsSync(script)

/** A command on a pseudo-terminal. */
export interface OnTerminal extends AsyncDisposable {
  /** Everything that the terminal got so far, escape sequences included. */
  readonly screen: () => string
  /** Waits until the screen holds this; fails if the command ends without it. */
  shows(pattern: RegExp): Promise<void>
  /** Types keys; `\x03` is Ctrl-C, `\x04` Ctrl-D. */
  type(keys: string): void
  /** The exit status. */
  readonly ended: Promise<number | null>
}

/** Runs `securyflex-backup <args>` as in a terminal window; disposing of it closes that window. */
export function startOnTerminal(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  directory?: string,
): OnTerminal {
  const words = [process.execPath, program, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`)
  const child = spawn(script, ['--quiet', '--return', '--flush', '--command', words.join(' '), '/dev/null'], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', TERM: 'xterm', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
    ...(directory === undefined ? {} : { cwd: directory }),
  })
  let screen = ''
  let over = false
  const ended = once(child, 'close').then(() => {
    over = true
    return child.exitCode
  })
  child.stdout.on('data', (chunk: Buffer) => (screen += chunk.toString()))
  return {
    screen: () => screen,
    shows: async (pattern) => {
      while (!pattern.test(screen)) {
        if (over) throw new Error(`It ended without ${String(pattern)}:\n${screen}`)
        await Promise.race([once(child.stdout, 'data'), ended])
      }
    },
    type: (keys) => void child.stdin.write(keys),
    ended,
    [Symbol.asyncDispose]: async () => {
      // `script` stays for a hang-up; when it is gone, so is the terminal.
      child.kill('SIGKILL')
      await ended
    },
  }
}
