import { isDeepStrictEqual } from 'node:util'
import { asBackupError, BackupError, Secret } from '@securyflex/shared/errors'
import { type RunReport, unsoundRuns, vouchedIndex, writeReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import {
  adoptRepository,
  BackupReader,
  checkBackup,
  checkCopy,
  copyBackup,
  type DumpedStream,
  findInAny,
  keepBackup,
  layout,
  listRuns,
  longestRun,
  makePrunePlan,
  newRunId,
  oldestAllowed,
  predecessorOf,
  prepareRepositories,
  prune,
  type PruneOptions,
  readBackup,
  scrub,
  type Scrubbed,
  sealBackup,
  setAside,
  storeSegment,
  unhealedRuns,
} from '@securyflex/shared/repository'
import { type ListEntry, Sealer, SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import type { History } from './history.ts'

export const source = 'shop'
export const hour = 60 * 60 * 1000
const secret = new Secret('00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff')

/** Of that key; always the same, so that a history goes the same way each time it is told. */
export const keyRecord = {
  format: 1,
  kind: 'wrapped',
  id: '2f73018e4f566945b13c52a4745d9ca9',
  created: '2025-12-31T00:00:00.000Z',
  kdf: { name: 'raw', salt: '9d2e0b36485604ec0d0b3fcc6afa8b61' },
  check: 'fa22ff6317768584',
  wrapped:
    '0c285465504abb9cccb8558ab45fad6a4040618fbbd6f53545b3b6af836a2fb20d623e53c9ae5244d037e86c0b05ae1acaeb82bdfcef8998641eb78c',
}

/** The pieces of the database: what is dumped, cut as finely as a test can bear. */
export type Database = readonly number[]
const pieceOf = (number: number) => Buffer.from(`piece ${String(number)} `.repeat(3))

/** How often a step is tried where the place does not answer. */
const tries = 4

/** A backup that was reported good. */
export interface Good {
  readonly run: string
  readonly database: Database
  /** Names of the segments that it needs. */
  readonly needs: readonly string[]
}

/** One installation's workers, as they go about a backup and a prune: the product's own functions in their order. */
export class ModelInstallation {
  readonly keys: KeyRing
  /** `BACKUP_INSTALLATION`. */
  name: string | undefined
  readonly #history: History
  readonly #clock: () => Date
  readonly #wait: (ms: number) => Promise<void>
  #salts = 0

  constructor(history: History, clock: () => Date, wait: (ms: number) => Promise<void>) {
    this.#wait = wait
    this.keys = new KeyRing({ current: history.encrypted ? secret : undefined, previous: [] })
    this.#history = history
    this.#clock = clock
  }

  /** The id of a run that is asked for now. Its last digit would be drawn. */
  newRun(): string {
    return newRunId(source, this.#clock()).replace(/.$/, '0')
  }

  /**
   * A run at one place: dump, upload, seal, verify; as the worker's steps do it.
   * @param pause time passes there
   * @returns the backup if the run would call it good
   */
  async backUp(
    storage: Storage,
    run: string,
    database: Database,
    pause: () => Promise<void>,
  ): Promise<Good | undefined> {
    await this.#report(storage, run, { outcome: 'pending' })
    try {
      const good = await this.#steps(storage, run, database, pause)
      await this.#report(storage, run, { outcome: 'verified', stored: { segments: 0, bytes: 0 } })
      return good
    } catch (error) {
      // The process is dead, or the run failed: whether it was sealed is what its report says.
      const sealed = error instanceof Unsound
      if (!sealed && !(error instanceof BackupError)) throw error
      const stored = sealed ? { stored: { segments: 0, bytes: 0 } } : {}
      await this.#report(storage, run, { outcome: 'failed', ...stored })
      return undefined
    }
  }

  /** One that no other object has, and the same each time that the history is told. */
  #salt(): Buffer {
    const salt = Buffer.alloc(32)
    salt.writeUInt32BE(++this.#salts)
    return salt
  }

  async #steps(storage: Storage, run: string, database: Database, pause: () => Promise<void>): Promise<Good> {
    const { encrypted } = this.#history
    const startedAt = this.#clock()
    const writing = await tried(() =>
      prepareRepositories([storage], this.keys, { encrypted, installation: this.name, now: startedAt }),
    )
    const sealer = new Sealer(writing.key, () => this.#salt())
    const predecessor = () => tried(() => predecessorOf(storage, source, this.keys, writing.key))
    const [before, added] = [await predecessor(), new SegmentIndex()]
    const entries = database.map((number) => {
      const plain = pieceOf(number)
      return { plain, id: sealer.identity.identify(plain) }
    })
    await pause()
    for (const { plain, id } of entries) {
      if (before?.index.has(id) || added.has(id)) continue
      const payload = { compression: 0, bytes: plain } as const
      const cipher = encrypted ? 'aes-256-gcm' : 'none'
      const sealed = sealer.seal(id, payload, plain.length, cipher)
      const segment = () => ({ id, plainLength: plain.length, sealed: Buffer.from(sealed) })
      added.add(await tried(() => storeSegment(storage, source, sealer, segment())))
    }
    await pause()
    if (this.#clock().getTime() - startedAt.getTime() > longestRun)
      throw new BackupError('STALLED', 'Too late.')
    await tried(async () => {
      const referenced = await predecessorOf(storage, source, this.keys, writing.key)
      if (referenced !== undefined) {
        const { index } = referenced
        const unknown = entries.map(({ id }) => id).filter((id) => !added.has(id) && !index.has(id))
        const lacking = [...new Map(unknown.map((id) => [id.toString('hex'), id])).values()]
        const sought = { storage, source, keys: this.keys, key: writing.key, lacking }
        for (const entry of await findInAny(sought)) index.add(entry)
      }
      const located = entries.map(({ id }) => added.get(id) ?? referenced?.index.get(id))
      if (located.includes(undefined)) throw new BackupError('SEGMENT_MISSING', 'It was not stored.')
      const plain = Buffer.concat(entries.map((one) => one.plain))
      const stream: DumpedStream = {
        kind: 'archive',
        bytes: plain.length,
        digest: sealer.identity.createDigest().update(plain).digest('hex'),
        segments: located.length,
        entries: () => given(located as ListEntry[]),
      }
      await sealBackup({
        storage,
        writing,
        sealer,
        keys: this.keys,
        facts: this.#facts(storage, run, startedAt),
        streams: [stream],
        stored: { segments: added.size, bytes: 0 },
        predecessor: referenced,
        oldest: await oldestAllowed(storage, () => this.#clock().getTime() - startedAt.getTime()),
        now: this.#clock(),
        signal: new AbortController().signal,
      })
    })
    await pause()
    return { run, database, needs: await this.#verify(storage, run) }
  }

  /** What the verify step does. @throws Unsound */
  async #verify(storage: Storage, run: string): Promise<string[]> {
    try {
      return await tried(async () => {
        const opened = await readBackup(storage, source, run, this.keys)
        const reader = new BackupReader(storage, opened)
        const predecessor = await vouchedIndex(storage, this.keys, opened.manifest)
        await checkBackup(storage, reader, {
          predecessor,
          full: false,
          now: this.#clock(),
          signal: new AbortController().signal,
          wait: (ms) => this.#wait(ms),
          onBad: (entry) => setAside(storage, source, entry, this.#clock()),
        })
        return [...(await reader.index())].map(({ id }) => id.toString('hex'))
      })
    } catch (error) {
      if (error instanceof BackupError) throw new Unsound(error.message)
      throw error
    }
  }

  async #indexOf(storage: Storage, run: string): Promise<SegmentIndex | undefined> {
    try {
      return await new BackupReader(storage, await readBackup(storage, source, run, this.keys)).index()
    } catch (error) {
      if (asBackupError(error).class === 'transient' || !(error instanceof BackupError)) throw error
      return undefined
    }
  }

  /** What the prune step does. */
  async prune(storage: Storage): Promise<void> {
    await tried(() => prune(this.#pruneOptions(storage)))
  }

  /** What a prune would do now, by a look at the place itself. */
  plan(storage: Storage): ReturnType<typeof makePrunePlan> {
    return makePrunePlan(this.#pruneOptions(storage))
  }

  #pruneOptions(storage: Storage): PruneOptions {
    const { encrypted, retention, timeZone } = this.#history
    return {
      storage,
      source,
      keys: this.keys,
      installation: this.name,
      acceptChecksums: !encrypted,
      retention,
      timeZone,
      unsound: (runs) => unsoundRuns(storage, this.keys, runs),
      now: this.#clock(),
      signal: new AbortController().signal,
    }
  }

  /** What the step and the command `copy` do: false if it could not, or is no good there. */
  async copy(from: Storage, to: Storage, run: string): Promise<boolean> {
    const [now, signal] = [this.#clock(), new AbortController().signal]
    try {
      await tried(() =>
        copyBackup({ from, to, source, run, keys: this.keys, installation: this.name, now, signal }),
      )
      const wait = (ms: number) => this.#wait(ms)
      const common = { to, others: [from], source, run, keys: this.keys, installation: this.name }
      await tried(() => checkCopy({ ...common, now, signal, wait }))
      return true
    } catch (error) {
      if (error instanceof BackupError) return false
      throw error
    }
  }

  /** What the step and the command `scrub` do. */
  scrub(storage: Storage, others: readonly Storage[], share: number): Promise<Scrubbed> {
    return tried(() =>
      scrub({
        storage,
        others,
        source,
        keys: this.keys,
        installation: this.name,
        share,
        now: this.#clock(),
        signal: new AbortController().signal,
      }),
    )
  }

  /** What the command `adopt` does at one place. */
  async adopt(storage: Storage, installation: string): Promise<void> {
    await tried(() => adoptRepository(storage, this.keys, { installation, by: 'model', now: this.#clock() }))
  }

  /** Backups that the place itself says are no good there. */
  unhealed(storage: Storage): Promise<ReadonlySet<string>> {
    return unhealedRuns(storage, source, this.keys)
  }

  /** What the command `keep` does; false if it could not. */
  async say(storage: Storage, run: string, action: 'keep' | 'release'): Promise<boolean> {
    try {
      const opened = await readBackup(storage, source, run, this.keys)
      await keepBackup(storage, opened, { action, by: 'model', now: this.#clock(), reason: undefined })
      return true
    } catch (error) {
      if (error instanceof BackupError) return false
      throw error
    }
  }

  /** Whether a backup gives back exactly what the database was. */
  async restores(storage: Storage, { run, database }: Good): Promise<boolean> {
    const reader = new BackupReader(storage, await readBackup(storage, source, run, this.keys))
    const [stream] = reader.manifest.streams
    if (stream === undefined) return false
    return isDeepStrictEqual(await reader.readAll(stream), Buffer.concat(database.map(pieceOf)))
  }

  /** Whether every stream of a backup can be read to its end. */
  async reads(storage: Storage, run: string): Promise<boolean> {
    try {
      const reader = new BackupReader(storage, await readBackup(storage, source, run, this.keys))
      for (const stream of reader.manifest.streams) await reader.readAll(stream)
      return true
    } catch (error) {
      if (error instanceof BackupError) return false
      throw error
    }
  }

  /** Backups of which it cannot be known what they need. */
  async unreadable(storage: Storage): Promise<string[]> {
    const runs = await listRuns(storage, source)
    const indexes = await Promise.all(runs.map((run) => this.#indexOf(storage, run)))
    return runs.filter((_, at) => indexes[at] === undefined)
  }

  /** Names of the segments that a backup needs, from its lists as they are. */
  async needs(storage: Storage, run: string): Promise<string[]> {
    return [...((await this.#indexOf(storage, run)) ?? [])].map(({ id }) => id.toString('hex'))
  }

  /** The segments' keys that backups name. */
  async needed(storage: Storage): Promise<Set<string>> {
    const runs = await listRuns(storage, source)
    const indexes = await Promise.all(runs.map((run) => this.#indexOf(storage, run)))
    return new Set(indexes.flatMap((index) => [...(index ?? [])].map(({ id }) => layout.segment(source, id))))
  }

  async #report(storage: Storage, run: string, here: Omit<RunReport['destinations'][number], 'name'>) {
    const at = this.#clock().toISOString()
    const report: RunReport = {
      format: 1,
      kind: 'run',
      run,
      source,
      outcome: here.outcome === 'pending' ? 'running' : here.outcome === 'failed' ? 'failed' : 'success',
      requestedBy: 'model',
      requestedAt: at,
      startedAt: at,
      destinations: [{ name: storage.name, ...here }],
      notifications: [],
      warnings: [],
      overlaps: 0,
      generation: 0,
    }
    await writeReport([storage], report, this.keys)
  }

  #facts(storage: Storage, run: string, startedAt: Date) {
    const at = startedAt.toISOString()
    return {
      run,
      attempt: '01234567',
      source,
      destination: storage.name,
      product: '0.1.0',
      requestedAt: at,
      startedAt: at,
      snapshotAt: at,
      server: { version: '15.18', major: 15, systemIdentifier: null },
      database: { name: 'shop' },
      tool: 'pg_dump 15.18',
      options: {
        compression: { algorithm: 'none', level: 0 },
        cipher: this.#history.encrypted ? 'aes-256-gcm' : 'none',
        fingerprint: 'off',
        retentionDays: 0,
      },
    }
  }
}

/** It was sealed, and did not pass its checks. */
class Unsound extends Error {}

/** As queues try a step again: what is transient, some times. */
async function tried<T>(step: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await step()
    } catch (error) {
      if (!(error instanceof BackupError) || error.class !== 'transient' || attempt >= tries) throw error
    }
  }
}

async function* given(entries: readonly ListEntry[]): AsyncGenerator<ListEntry> {
  for (const entry of entries) yield await Promise.resolve(entry)
}
