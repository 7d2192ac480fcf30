import { randomBytes } from 'node:crypto'
import { groupOf, requireSource } from '@securyflex/shared/config'
import { BackupError, systemCode } from '@securyflex/shared/errors'
import {
  chooseRelations,
  databaseShape,
  dumpArchive,
  endStaleSession,
  findTools,
  holdSnapshot,
  looksLikeArchive,
  openConnection,
  readGlobals,
  refusePooler,
  refuseUnreadable,
  sameServer,
  serverFacts,
  takeFingerprint,
  type Tool,
} from '@securyflex/shared/postgres'
import { addChild, type DumpResult, isCancelled, jobIds } from '@securyflex/shared/queue'
import { longestRun, predecessorOf, prepareRepositories } from '@securyflex/shared/repository'
import { discard } from '@securyflex/shared/segments'
import { type Attempt, type RunSpool, spoolCipher, unlessDamaged } from '@securyflex/shared/spool'
import type { DataKey } from '@securyflex/shared/keys'
import type { Storage } from '@securyflex/shared/storage'
import { storageOf } from './context.ts'
import { drop } from './drop.ts'
import { DumpWriter, type KnownSegments, type WrittenStream } from './dump-writer.ts'
import { readFailure } from './failure.ts'
import { removeLostRuns } from './housekeeping.ts'
import { sealerOf } from './place.ts'
import { RedisWatch } from './redis-watch.ts'
import { StallWatch } from './stall-watch.ts'
import { type StepCall, type StepDefinition, warner } from './step.ts'
import { findVanished, type Found } from './vanished.ts'

/** Of the session that holds the snapshot, in pg_stat_activity. */
const applicationName = 'securyflex-backup'

type Client = Awaited<ReturnType<typeof openConnection>>

/** Reads the database once, under one snapshot, and hands it on in batches. */
export const dumpStep: StepDefinition<'dump'> = {
  step: 'dump',
  async work(call) {
    using watch = new RedisWatch(call.queues.redis, call.config.worker.lockDuration)
    const limited = AbortSignal.any([call.signal, watch.signal, AbortSignal.timeout(longestRun)])
    const { config, payload } = call
    const { connection } = requireSource(config, payload.source, payload.database)
    const open = () => openConnection(connection, { applicationName, signal: limited })
    const client = await open().catch((error: unknown) => {
      throw isGone(error) && payload.database !== undefined ? vanished(payload.source, error) : error
    })
    try {
      const backend = await refusePooler(client, open)
      await refuseUnreadable(client, payload.options.selection)
      return await dumpFrom(call, client, backend, limited)
    } finally {
      await client.end()
    }
  },
}

/** The server has no database of that name (invalid_catalog_name). */
function isGone(error: unknown): error is BackupError {
  return error instanceof BackupError && systemCode(error.cause) === '3D000'
}

/** It was there when the databases of its group were looked up. */
function vanished(source: string, cause: BackupError): BackupError {
  return new BackupError('DATABASE_REFUSED', `The database of ${source} is gone: ${cause.message}`, {
    hint: 'If it was dropped or renamed on purpose, nothing is to be done: its backups stay, and it is not asked for again.',
    cause,
  })
}

/** @param backend the id of the server's process behind `client` */
async function dumpFrom(
  call: StepCall<'dump'>,
  client: Client,
  backend: number,
  limited: AbortSignal,
): Promise<DumpResult> {
  const { payload, config, clock } = call
  const startedAt = clock().toISOString()
  const connection = sameServer(requireSource(config, payload.source, payload.database).connection, client)
  const facts = await serverFacts(client)
  const tools = await findTools(facts.major, config.pgBinDirectory)
  const database = await databaseShape(client, facts.versionNumber)
  const { selection } = payload.options
  const warnings = await warningsOf(call, client)
  await endEarlierAttempt(call, client)

  const snapshot = await holdSnapshot(client, `securyflex-backup ${payload.source}`)
  const stop = new AbortController()
  const signal = AbortSignal.any([limited, snapshot.lostSignal, stop.signal])
  try {
    await removeLostRuns(call, payload.source, payload.run)
    const { attempt, token, writer, vanished } = await beginAttempt(call, signal, backend)
    await using _ = writer
    const streams: WrittenStream[] = []
    const show = progressOf(call, writer)
    const keep = async (stream: WrittenStream) => {
      streams.push(stream)
      await show(stream.kind)
    }
    await keep(await writer.write('globals', readGlobals(tools, connection, snapshot, signal)))
    const fingerprint = await takeFingerprint(client, payload.options.fingerprint, selection)
    if (fingerprint !== undefined) {
      await keep(await writer.write('fingerprint', [Buffer.from(JSON.stringify(fingerprint))]))
    }
    const archive = dumpArchive(tools, connection, snapshot.id, signal, selection)
    await keep(await writeArchive(writer, archive, show))
    await snapshot.confirm()
    await writer.finish()
    await refuseIfAllDropped(attempt, payload.destinations)
    return {
      attempt: token,
      batches: writer.batches,
      startedAt,
      snapshotAt: snapshot.takenAt.toISOString(),
      finishedAt: clock().toISOString(),
      tool: `pg_dump ${tools.version}`,
      server: {
        version: facts.version,
        major: facts.major,
        systemIdentifier: facts.systemIdentifier ?? null,
      },
      database,
      streams,
      newBytes: writer.newBytes,
      warnings: [...vanished, ...warnings],
    }
  } finally {
    // A tool whose output nobody reads any more must not keep its own transaction open.
    stop.abort()
    await snapshot.release()
  }
}

/** What a group leaves out is not in each of its databases; for a single one it is probably misspelt. */
async function warningsOf({ config, payload }: StepCall<'dump'>, client: Client): Promise<string[]> {
  const chosen = await chooseRelations(client, payload.options.selection)
  const unmatched = groupOf(config, payload.source) === undefined ? chosen?.unmatched : []
  return [...(unmatched ?? []), ...(chosen?.missed ?? [])]
}

/** A worker that stopped without dying still holds its snapshot and the source's lock. The job is ours now. */
async function endEarlierAttempt({ spool, payload }: StepCall<'dump'>, client: Client): Promise<void> {
  const run = spool.run(payload.run)
  const token = await unlessDamaged(run.current())
  const facts = token === undefined ? undefined : await unlessDamaged(run.attempt(token).facts())
  if (facts?.backend !== undefined) await endStaleSession(client, facts.backend, applicationName)
}

/** Prepares the stores, draws the attempt's token and makes it the one that counts. */
async function beginAttempt(
  call: StepCall<'dump'>,
  signal: AbortSignal,
  backend: number,
): Promise<{ attempt: Attempt; token: string; writer: DumpWriter; vanished: readonly string[] }> {
  const { payload, config, spool, keys, queues } = call
  const { run, source, options, destinations } = payload
  const storages = destinations.map((name) => storageOf({ ...call, signal }, name))
  const { key, unusable } = await prepareRepositories(storages, keys, {
    encrypted: options.cipher !== 'none',
    installation: config.installation,
    now: call.clock(),
  })
  const token = randomBytes(4).toString('hex')
  const runSpool = spool.run(run)
  signal.throwIfAborted()
  const facts = { run, attempt: token, key: key?.record ?? null, destinations, backend }
  const attempt = await runSpool.beginAttempt(facts)
  const leaveOut = (destination: string, why: BackupError) => drop(call, { run, attempt }, destination, why)
  const found = await findPredecessors({ call, storages, key, unusable, leaveOut, signal })
  const vanished = await findVanished(
    source,
    keys,
    found.flatMap((one) => one ?? []),
  )
  await refuseIfAllDropped(attempt, destinations)
  const { stallMinutes: minutes } = config
  const stall = new StallWatch({ attempt, destinations, minutes, clock: call.clock, leaveOut })
  const writer = new DumpWriter({
    spool,
    attempt,
    identity: sealerOf(key).identity,
    cipher: spoolCipher(key),
    destinations,
    references: found.map((one) => (one === undefined ? wantsNothing : one.predecessor?.index)),
    signal,
    async onBatch(batch) {
      await refuseIfSuperseded(runSpool, token)
      await refuseIfCancelled(call)
      await refuseIfAllDropped(attempt, destinations)
      await runSpool.touch(call.clock())
      const payload = { v: 1 as const, run, source, attempt: token, batch, options }
      await call.passed('dump:batch')
      await addChild(queues, run, 'compress', jobIds.batch(run, token, batch), payload)
    },
    async whileWaiting() {
      await refuseIfSuperseded(runSpool, token)
      await refuseIfCancelled(call)
      await stall.look()
      await refuseIfAllDropped(attempt, destinations)
      await runSpool.touch(call.clock())
    },
  })
  return { attempt, token, writer, vanished }
}

interface Sought {
  readonly call: StepCall<'dump'>
  /** In the order of the destinations. */
  readonly storages: readonly Storage[]
  readonly key: DataKey | undefined
  readonly unusable: ReadonlyMap<Storage, BackupError>
  readonly leaveOut: (destination: string, why: BackupError) => Promise<void>
  readonly signal: AbortSignal
}

/** What each destination has already. One that cannot say so, or take anything, is left out: undefined. */
async function findPredecessors(sought: Sought): Promise<(Found | undefined)[]> {
  const { call, storages, key, unusable, leaveOut, signal } = sought
  const { keys, payload } = call
  const { source, destinations } = payload
  const found = storages.map(async (storage, at) => {
    const name = destinations[at] ?? ''
    const trouble = unusable.get(storage)
    if (trouble !== undefined) {
      await leaveOut(name, trouble)
      return undefined
    }
    try {
      return { storage, predecessor: await predecessorOf(storage, source, keys, key, warner(call)) }
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof BackupError)) throw error
      await leaveOut(name, error)
      return undefined
    }
  })
  return Promise.all(found)
}

/** As if everything were there: what is left out of a run is sent nothing. */
const wantsNothing: KnownSegments = { has: () => true }

/** pg_dump's output; what does not begin like an archive is no backup, whatever its exit status says. */
async function writeArchive(writer: DumpWriter, tool: Tool, show: Show): Promise<WrittenStream> {
  // Heard below; until then a tool that dies while its output is read must not count as unheard.
  tool.done.catch(() => undefined)
  const stream = await writer.write('archive', watched(tool, show))
  await tool.done
  return stream
}

async function* watched(tool: Tool, show: Show): AsyncGenerator<Buffer> {
  let first = true
  for await (const chunk of tool.stdout as AsyncIterable<Buffer>) {
    if (first && !looksLikeArchive(chunk)) throw notAnArchive()
    first = false
    yield chunk
    // It has been copied into its segment.
    discard(chunk)
    await show('archive')
  }
  if (first) throw notAnArchive()
}

/** Between two notes of progress, in ms. */
const progressInterval = 500

/** Shows what has come of a stream, if it was not shown just now. */
type Show = (stream: string) => Promise<void>

/** A dump that takes no longer than the interval has nothing to show: its result follows. */
function progressOf({ job }: StepCall<'dump'>, writer: DumpWriter): Show {
  let last = performance.now()
  return async (stream) => {
    const now = performance.now()
    if (now - last < progressInterval) return
    last = now
    const { bytes, newBytes, batches } = writer
    await job.updateProgress({ stream, bytes, newBytes, batches })
  }
}

function notAnArchive(): BackupError {
  return new BackupError('DUMP_FAILED', 'pg_dump wrote no archive.', {
    hint: 'Run pg_dump -Fc with the same connection by hand to see what it does.',
  })
}

/** The message of a cancel may have been lost; the mark is not. */
async function refuseIfCancelled({ queues, payload }: StepCall<'dump'>): Promise<void> {
  if (!(await isCancelled(queues.redis, payload.run))) return
  throw new BackupError('CANCELLED', 'The run was cancelled.')
}

async function refuseIfSuperseded(run: RunSpool, token: string): Promise<void> {
  if ((await run.current()) === token) return
  throw new BackupError('INTERNAL', 'Another execution of this dump took over.', { class: 'transient' })
}

async function refuseIfAllDropped(attempt: Attempt, destinations: readonly string[]): Promise<void> {
  const dropped = await attempt.dropped()
  if (!destinations.every((name) => dropped.has(name))) return
  const [why = 'unknown'] = dropped.values()
  throw new BackupError(
    'STORAGE_UNREACHABLE',
    `No destination takes this backup: ${readFailure(why).reason}`,
    { hint: 'See the upload queue of each destination for the reason.' },
  )
}
