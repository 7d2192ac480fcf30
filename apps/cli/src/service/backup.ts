import { type Config, inheritedEnvironment, type RedisAddress } from '@securyflex/shared/config'
import { BackupError, describe } from '@securyflex/shared/errors'
import { findReports } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import { cancelRun, checkUsable, connectOrFail, Queues, type Requested } from '@securyflex/shared/queue'
import { parseRunId } from '@securyflex/shared/repository'
import { openStorageForReading } from '@securyflex/shared/storage'
import { askForRun } from '../asking.ts'
import { note, printJson } from '../output/print.ts'
import { count } from '../output/written.ts'
import { unservedQueues } from '../queues.ts'
import { type Wanted, wantedOf } from '../wanted.ts'
import { followRun, type RunEnd } from './follow.ts'
import { narrator } from './narrator.ts'
import { exitStatusOf, showEnd } from './outcome.ts'
import { startRedis } from './redis/redis.ts'
import { type StopRequest, whenAskedToStop } from './stop-request.ts'
import { type LoneWorker, startLoneWorker } from './lone-worker.ts'
import { claimService, findService, type ServiceWord } from './word.ts'

export interface BackupOptions {
  /** Name of a source, a group or one of its databases; not needed if there is only one. */
  readonly source?: string | undefined
  /** Every source and group. */
  readonly all?: boolean | undefined
  /** One JSON document on standard output instead of a story. */
  readonly json?: boolean | undefined
}

/**
 * Makes one backup, or those of several sources, and follows each to its end. Where no service answers it brings Redis, and where no worker
 * serves a worker, for these runs, and stops them afterwards.
 * @returns the exit status: 0 success, 8 failed, 9 degraded, 130 cancelled; of several runs the worst
 * @throws CONFIG_INVALID, SOURCE_UNKNOWN, USAGE, REDIS_UNREACHABLE, SETUP_NEEDED before anything is asked for
 */
export async function runBackup(config: Config, options: BackupOptions = {}): Promise<number> {
  const wanted = await wantedOf(config, options.source, options.all)
  await using stopping = whenAskedToStop()
  await using redis = await findOrStartRedis(config, wanted)
  await checkUsable(redis.address)
  await using queues = await openQueues(config, redis.address)
  const unserved = await unservedQueues(queues, config)
  await using worker = unserved.length === 0 ? undefined : await bringWorker(config, redis, stopping)
  const asked: Asked[] = []
  for (const one of wanted) {
    const requested = await requestOrSayPaused(config, queues, one, wanted.length > 1)
    if (requested === undefined) continue
    sayRequested(requested, one)
    asked.push({ source: one.name, ...requested })
  }
  const json = options.json === true
  const following = { config, address: redis.address, queues, worker, stopping, json }
  const ends = await followAll(following, asked)
  const alone = wanted.length === 1 && ends.length === 1
  if (json) printJson(alone ? ends[0] : { runs: ends })
  return exitStatusOf(ends)
}

/** A run that stands for a request. */
type Asked = Requested & { readonly source: string }

/** Follows one run after the other, as they go on at the same time; those that a group's run asked for, too. */
async function followAll(following: Omit<Following, 'source' | 'run'>, asked: readonly Asked[]) {
  const ends: (RunEnd & Pick<Asked, 'source' | 'accepted'>)[] = []
  const left = [...asked]
  for (let next = left.shift(); next !== undefined; next = left.shift()) {
    const { source, run, accepted } = next
    const end = await follow({ ...following, source, run })
    const more = (end.runs ?? []).map((id) => ({
      source: parseRunId(id)?.source ?? '',
      run: id,
      accepted: true,
    }))
    left.unshift(...more)
    ends.push({ ...end, source, accepted })
    if (following.json) continue
    if (more.length > 0)
      note(`${source}: ${count(more.length, 'database')}, each backed up as a run of its own.`)
    else showEnd(end)
    if (more.length > 0) for (const warning of end.warnings) note(`Note: ${warning}`)
  }
  return ends
}

interface FoundRedis extends AsyncDisposable {
  readonly address: RedisAddress
  /** Whether this process started it. */
  readonly own: boolean
}

/** `REDIS_URL`, the running service's, or one that lives as long as this command. */
async function findOrStartRedis(config: Config, wanted: readonly Wanted[]): Promise<FoundRedis> {
  if (config.redis !== undefined) return found(config.redis)
  const service = await findService(config)
  if (service !== undefined) return found(fitting(service, wanted))
  const claim = await claimService(config, 'backup', new Date())
  if ('holder' in claim) return found(fitting(claim.holder, wanted))
  try {
    const redis = await startRedis(config)
    const dispose = async () => {
      await redis.stop()
      await claim.release()
    }
    return { address: redis.address, own: true, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await claim.release()
    throw error
  }
}

function found(address: RedisAddress): FoundRedis {
  return { address, own: false, [Symbol.asyncDispose]: () => Promise.resolve() }
}

/** The service's workers know their own sources only: one of this name elsewhere would be the wrong backup. */
function fitting({ redis, pid, sources }: ServiceWord, wanted: readonly Wanted[]): RedisAddress {
  for (const { configured: name, settings } of wanted) {
    const known = sources.find((source) => source.name === name)
    // Of a group, the server's maintenance database is known, and of its databases the group.
    const shown = settings.name === name ? settings.connection.shown : known?.shown
    if (known !== undefined && known.shown === shown) continue
    const what =
      known === undefined
        ? `was started without ${name}`
        : `backs up another ${name} (${known.shown}), not ${shown ?? ''}`
    throw new BackupError('CONFIG_INVALID', `The service that runs (process ${pid}) ${what}.`, {
      hint: 'Stop it with Ctrl-C in its terminal, and start it with this DATABASE_URL: npm start',
    })
  }
  return redis
}

async function openQueues(config: Config, address: RedisAddress): Promise<Queues & AsyncDisposable> {
  const redis = await connectOrFail(address)
  // Heard where the run is followed, over a connection of its own.
  redis.on('error', () => undefined)
  const dispose = async () => {
    await queues.close()
    redis.disconnect()
  }
  const queues = Object.assign(new Queues(redis, config.worker.retryDelay), {
    [Symbol.asyncDispose]: dispose,
  })
  return queues
}

async function bringWorker(config: Config, redis: FoundRedis, stopping: StopRequest): Promise<LoneWorker> {
  note(
    redis.own
      ? 'No service is running: Redis and a worker are started for this one run.'
      : `No worker serves the queues in Redis at ${redis.address.shown}: one is started for this one run.`,
  )
  // It is here for the whole way, whatever this machine's own workers serve.
  const env = inheritedEnvironment({ REDIS_URL: redis.address.url.reveal(), WORKER_STEPS: '' })
  return startLoneWorker(config, redis.address, env, stopping.hurry)
}

/** Of several sources the paused ones are left out, and nobody has to wait for them. @throws SOURCE_PAUSED for a single one */
async function requestOrSayPaused(
  config: Config,
  queues: Queues,
  wanted: Wanted,
  several: boolean,
): Promise<Requested | undefined> {
  try {
    return await askForRun(config, queues, wanted)
  } catch (error) {
    if (!several || !(error instanceof BackupError) || error.code !== 'SOURCE_PAUSED') throw error
    note(`${wanted.name} is left out. ${describe(error)}`)
    return undefined
  }
}

function sayRequested({ run, accepted, again }: Requested, { name, settings }: Wanted): void {
  if (accepted) note(`Backing up ${name} (${settings.connection.shown}) as ${run}`)
  else if (again) note(`A run of ${name} is under way already; one more follows it. Following ${run}`)
  else note(`A run of ${name} is under way already, and this request is recorded with it. Following ${run}`)
}

interface Following {
  readonly config: Config
  readonly address: RedisAddress
  readonly queues: Queues
  readonly source: string
  readonly run: string
  readonly worker: LoneWorker | undefined
  readonly stopping: StopRequest
  readonly json: boolean
}

/** Follows the run; Ctrl-C cancels it if its worker is this process's own, else only ends the following. */
async function follow(following: Following): Promise<RunEnd> {
  const { config, address, queues, source, run, worker, stopping, json } = following
  const leave = new AbortController()
  const interrupted = stopping.asked.then(async () => {
    if (worker === undefined) {
      leave.abort(stopsFollowing(run))
      return
    }
    note('The run is being cancelled; Ctrl-C again ends everything at once.')
    stopping.hurry.addEventListener('abort', () =>
      leave.abort(new BackupError('CANCELLED', `The run ${run} was cut off.`)),
    )
    await cancelRun(queues.redis, run)
  })
  const shown = json ? undefined : narrator(await lastSize(config, source))
  try {
    const stop = AbortSignal.any([leave.signal, ...(worker === undefined ? [] : [worker.lost])])
    const ended = followRun(config, address, run, (state) => shown?.tell(state), stop)
    // A cancel that could not be sent ends the following; one that was sent does not.
    return await Promise.race([ended, interrupted.then(() => ended)])
  } finally {
    shown?.end()
  }
}

function stopsFollowing(run: string): BackupError {
  return new BackupError('CANCELLED', `The run ${run} goes on; only the following ended.`, {
    hint: `To cancel it, type: npx --no securyflex-backup cancel ${run}`,
  })
}

/** Bytes that the last good run read: what this one will read, more or less. */
async function lastSize(config: Config, name: string): Promise<number | undefined> {
  const [destination] = config.destinations
  if (destination === undefined) return undefined
  const reports = findReports(openStorageForReading(destination), name, new KeyRing(config.keys), 5)
  for await (const { report } of reports) {
    if (report?.outcome === 'success' && report.bytes !== undefined) return report.bytes
  }
  return undefined
}
