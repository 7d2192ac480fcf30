import { type Config, shownPlace, type Source, type SourceGroup } from '@securyflex/shared/config'
import { asBackupError, type BackupError, describe } from '@securyflex/shared/errors'
import { checkUsable, connectOrFail } from '@securyflex/shared/queue'
import { nextTimes } from '@securyflex/shared/schedule'
import { checkKeys } from '../key-check.ts'
import { findService } from '../service/index.ts'
import { tryDatabase } from './try-database.ts'
import { tryDestination } from './try-destination.ts'

/** What was found at everything that the configuration names. */
export interface Checked {
  readonly file: string | null
  readonly redis: {
    readonly shown: string | null
    readonly version: string | null
    readonly problem: string | null
  }
  readonly destinations: readonly CheckedDestination[]
  readonly sources: readonly CheckedSource[]
  readonly schedules: readonly CheckedSchedule[]
}

interface CheckedDestination {
  readonly name: string
  readonly shown: string
  /** Bytes; null where nobody knows, as in a cloud. */
  readonly free: number | null
  readonly missing: boolean
  /** What works there, but not as one may expect. */
  readonly remarks: readonly string[]
  readonly problem: string | null
}

interface CheckedSource {
  readonly name: string
  /** Whether it stands for every database of its server. */
  readonly group: boolean
  readonly shown: string
  readonly server: string | null
  readonly tools: string | null
  readonly toolDirectory: string | null
  readonly sizeBytes: number | null
  readonly role: string | null
  readonly superuser: boolean | null
  readonly problem: string | null
}

interface CheckedSchedule {
  readonly source: string
  /** Null for a source without any. */
  readonly cron: string | null
  readonly timeZone: string
  /** UTC. */
  readonly next: readonly string[]
}

/** Of each schedule so many are told. */
const times = 5

/** Connects to everything; changes nothing, and calls no webhook. `problem` is the first one that was met. */
export async function checkAll(
  config: Config,
  now: Date,
): Promise<{ checked: Checked; problem: BackupError | undefined }> {
  const problems: BackupError[] = []
  const noted = (error: unknown) => {
    const known = asBackupError(error)
    problems.push(known)
    return describe(known)
  }
  const all = [
    ...config.sources.map((one) => ({ one, group: false })),
    ...config.groups.map((one) => ({ one, group: true })),
  ]
  const checked = {
    file: config.file ?? null,
    redis: await checkRedis(config, noted),
    destinations: await inOrder(config.destinations, (one) => checkDestination(one, noted)),
    sources: await inOrder(all, ({ one, group }) => checkSource(one, group, config, noted)),
    schedules: all.flatMap(({ one }) => schedulesOf(one, now)),
  }
  const { problem } = await checkKeys(config)
  if (problem !== undefined) problems.push(problem)
  return { checked, problem: problems[0] }
}

/** One after the other: a fleet is not to be met by all its connections at once. */
async function inOrder<One, Result>(
  all: readonly One[],
  work: (one: One) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  for (const one of all) results.push(await work(one))
  return results
}

type Noted = (error: unknown) => string

async function checkRedis(config: Config, noted: Noted): Promise<Checked['redis']> {
  const address = config.redis ?? (await findService(config))?.redis
  if (address === undefined) return { shown: null, version: null, problem: null }
  const { shown } = address
  try {
    await checkUsable(address)
    const redis = await connectOrFail(address)
    const version = /^redis_version:(\S+)/m.exec(await redis.info('server'))?.[1] ?? null
    redis.disconnect()
    return { shown, version, problem: null }
  } catch (error) {
    return { shown, version: null, problem: noted(error) }
  }
}

async function checkDestination(
  destination: Config['destinations'][number],
  noted: Noted,
): Promise<CheckedDestination> {
  try {
    const { free, ...tried } = await tryDestination(destination, { create: false })
    return { ...tried, free: free ?? null, problem: null }
  } catch (error) {
    const { name } = destination
    const nothing = { free: null, missing: false, remarks: [] }
    return { name, shown: shownPlace(destination), ...nothing, problem: noted(error) }
  }
}

async function checkSource(
  { name, connection }: Source | SourceGroup,
  group: boolean,
  { pgBinDirectory }: Config,
  noted: Noted,
): Promise<CheckedSource> {
  const known = { name, group, shown: connection.shown }
  try {
    const { server, tools, toolDirectory, sizeBytes, role, superuser, problem } = await tryDatabase(
      connection,
      pgBinDirectory,
    )
    return {
      ...known,
      ...{ server, tools: tools ?? null, toolDirectory: toolDirectory ?? null, sizeBytes, role, superuser },
      problem: problem === undefined ? null : noted(problem),
    }
  } catch (error) {
    const nothing = {
      server: null,
      tools: null,
      toolDirectory: null,
      sizeBytes: null,
      role: null,
      superuser: null,
    }
    return { ...known, ...nothing, problem: noted(error) }
  }
}

function schedulesOf(one: Source | SourceGroup, now: Date): CheckedSchedule[] {
  const { name, schedules, timeZone } = one
  if (schedules.length === 0) return [{ source: name, cron: null, timeZone, next: [] }]
  return schedules.map((schedule) => ({
    source: name,
    cron: schedule.cron,
    timeZone: schedule.timeZone,
    next: nextTimes(name, { ...one, schedules: [schedule] }, now, times).map(({ at }) => at.toISOString()),
  }))
}
