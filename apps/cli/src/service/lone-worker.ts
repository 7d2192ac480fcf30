import { setTimeout as wait } from 'node:timers/promises'
import type { Config, RedisAddress } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { connectOrFail, Queues } from '@securyflex/shared/queue'
import { unservedQueues } from '../queues.ts'
import { startApp, stopPart } from './part.ts'

/** How long it may take to end, in ms: it gives its jobs ten seconds. */
const grace = 20_000
/** Between two looks whether it serves, in ms. */
const interval = 50

/** A worker process for one run. */
export interface LoneWorker extends AsyncDisposable {
  /** Aborts with what it last said if it ends before it is told to. */
  readonly lost: AbortSignal
  readonly pid: number | undefined
}

/**
 * Starts a worker process and waits until it serves every queue. Its log is kept with the others.
 * @param env its environment, with the address of Redis
 * @param hurry aborted when somebody does not want to wait for its end
 * @throws INTERNAL with its last words if it ends
 */
export async function startLoneWorker(
  config: Config,
  address: RedisAddress,
  env: NodeJS.ProcessEnv,
  hurry?: AbortSignal,
): Promise<LoneWorker> {
  const said: string[] = []
  const part = startApp('worker', env, (line) => {
    said.push(line)
    if (said.length > 5) said.shift()
  })
  const lost = new AbortController()
  void part.ended.then(({ words }) => lost.abort(diedEarly(words, said)))
  const dispose = () => stopPart(part, grace, hurry)
  try {
    await untilServing(config, address, lost.signal)
    return { lost: lost.signal, pid: part.process.pid, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** Waits until every queue has a worker. */
export async function untilServing(
  config: Config,
  address: RedisAddress,
  signal: AbortSignal,
): Promise<void> {
  const redis = await connectOrFail(address)
  const queues = new Queues(redis, config.worker.retryDelay)
  try {
    for (;;) {
      signal.throwIfAborted()
      if ((await unservedQueues(queues, config)).length === 0) return
      await wait(interval)
    }
  } finally {
    await queues.close()
    redis.disconnect()
  }
}

function diedEarly(words: string, said: readonly string[]): BackupError {
  const last = said.at(-1)
  return new BackupError('INTERNAL', `The worker ${words}${last === undefined ? '' : `: ${last}`}`, {
    hint: 'Its log is in the directory logs in BACKUP_DIR. What it had begun goes on with the next npm run backup.',
  })
}
