import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'

/** What came of one command. */
export interface Ran {
  /** Null if it was killed, because it took longer than it may. */
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Variables beside PATH, HOME and those of this test run. */
  readonly env?: Readonly<Record<string, string>>
  /** Working directory. */
  readonly directory: string
  /** Milliseconds after which it is killed; default 20 s. */
  readonly timeout?: number
}

const program = join(resolve(import.meta.dirname, '../..'), 'apps/cli/src/main.ts')

/** Runs `securyflex-backup …` to its end as people do, in a process of its own and without a terminal. */
export async function runCommand(args: readonly string[], options: RunOptions): Promise<Ran> {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: options.directory,
    env: { ...inherited(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeout ?? 20_000,
    killSignal: 'SIGKILL',
  })
  const ended = new Promise<number | null>((done, failed) => {
    child.once('error', failed)
    child.once('close', done)
  })
  const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { status, stdout, stderr }
}

/** Nothing of what configures the product, whatever the tests themselves were started with. */
function inherited(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'SECURYFLEX_TEST_RUN', 'SECURYFLEX_TEST_DIR']
  return Object.fromEntries(
    kept.flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}
