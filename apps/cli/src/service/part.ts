import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { tiedToParent } from '@securyflex/shared/postgres'
import { memorySettings } from '@securyflex/shared/segments'

/** The applications that run as processes of their own. */
export type AppName = 'producer' | 'worker' | 'dashboard'

/** A process of the service. */
export interface Part {
  readonly process: ChildProcess
  /** How it ended, in words: `was killed by SIGKILL`. Resolves once it has. */
  readonly ended: Promise<Ending>
}

export interface Ending {
  readonly status: number | null
  readonly words: string
}

/** What has been started, as a part. */
export function partOf(child: ChildProcess): Part {
  return { process: child, ended: endOf(child) }
}

/**
 * Starts an application with `env`; each line that it writes is handed to `said`. It ends with this process,
 * also when that is killed (where `setpriv` is).
 */
export function startApp(name: AppName, env: NodeJS.ProcessEnv, said: (line: string) => void): Part {
  const entry = fileURLToPath(new URL(`../../../${name}/src/main.ts`, import.meta.url))
  const [command, ...args] = tiedToParent('KILL', [process.execPath, entry])
  const child = spawn(command, args, {
    env: name === 'worker' ? { ...memorySettings, ...env } : env,
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: Ctrl-C reaches this process alone, which stops the others in the right order.
    detached: true,
  })
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', said)
  return partOf(child)
}

async function endOf(child: ChildProcess): Promise<Ending> {
  if (child.exitCode === null && child.signalCode === null) {
    try {
      await once(child, 'exit')
    } catch (error) {
      return {
        status: null,
        words: `could not be started (${error instanceof Error ? error.message : String(error)})`,
      }
    }
  }
  const { exitCode, signalCode } = child
  return {
    status: exitCode,
    words: signalCode === null ? `ended with status ${exitCode}` : `was killed by ${signalCode}`,
  }
}

/**
 * Asks a part to end, and kills it if it has not within `grace` ms.
 * @param hurry aborted when somebody does not want to wait
 */
export async function stopPart(
  { process: child, ended }: Part,
  grace: number,
  hurry?: AbortSignal,
): Promise<void> {
  const kill = () => child.kill('SIGKILL')
  const force = setTimeout(kill, grace)
  hurry?.addEventListener('abort', kill, { once: true })
  child.kill(hurry?.aborted === true ? 'SIGKILL' : 'SIGTERM')
  await ended
  clearTimeout(force)
  hurry?.removeEventListener('abort', kill)
}
