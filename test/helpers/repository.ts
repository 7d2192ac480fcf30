import { createHash, randomBytes } from 'node:crypto'
import type { Cipher } from '@securyflex/shared/config'
import { Secret } from '@securyflex/shared/errors'
import { generateKey, KeyRing } from '@securyflex/shared/keys'
import {
  BackupReader,
  type DumpedStream,
  layout,
  type OpenManifest,
  predecessorOf,
  prepareRepositories,
  sealBackup,
  storeSegment,
} from '@securyflex/shared/repository'
import type { SegmentIndex } from '@securyflex/shared/segments'
import { compress, Cutter, type ListEntry, Sealer } from '@securyflex/shared/segments'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import { temporaryDirectory } from './temporary-directory.ts'

/** A repository of one test's own, and the same steps that the workers take to fill it. */
export interface TestRepository extends AsyncDisposable {
  readonly storage: Storage
  readonly directory: string
  /** What the user keeps; undefined without encryption. */
  readonly secret: string | undefined
  readonly keys: KeyRing
  /** Backs up these streams: cuts, stores what the newest backup does not name, seals. */
  backUp(options: BackUp): Promise<OpenManifest>
  /** The path of a segment's object, or of the manifest of a run. */
  pathOf(what: { segment: Buffer } | { run: string }): string
}

export interface BackUp {
  readonly run: string
  readonly streams: Readonly<Record<string, Buffer>>
  /** When it was sealed; now by default. */
  readonly sealedAt?: Date
  readonly compression?: 'none' | 'gzip' | 'zstd'
}

export const source = 'shop'

/** A new key ring of one raw key, or of `secret`. */
export function keyRing(secret: string | undefined = generateKey(), ...previous: string[]): KeyRing {
  return new KeyRing({ current: new Secret(secret), previous: previous.map((text) => new Secret(text)) })
}

export const noKeys = (): KeyRing => new KeyRing({ current: undefined, previous: [] })

/** An empty repository in a temporary directory, written with `cipher`. */
export async function testRepository(cipher: Cipher = 'aes-256-gcm'): Promise<TestRepository> {
  const directory = await temporaryDirectory()
  const storage = await openStorage({ kind: 'local', name: 'local', directory: directory.path })
  const secret = cipher === 'none' ? undefined : generateKey()
  const keys = secret === undefined ? noKeys() : keyRing(secret)
  return {
    storage,
    directory: directory.path,
    secret,
    keys,
    pathOf: (what) =>
      directory.join(
        'segment' in what ? layout.segment(source, what.segment) : layout.manifest(source, what.run),
      ),
    backUp: (options) => backUpTo(storage, keys, cipher, options),
    [Symbol.asyncDispose]: () => directory.remove(),
  }
}

/** {@link TestRepository.backUp} at any store. */
export async function backUpTo(
  storage: Storage,
  keys: KeyRing,
  cipher: Cipher,
  options: BackUp,
): Promise<OpenManifest> {
  const now = options.sealedAt ?? new Date()
  const writing = await prepareRepositories([storage], keys, {
    encrypted: cipher !== 'none',
    installation: undefined,
    now,
  })
  const sealer = new Sealer(writing.key)
  const predecessor = await predecessorOf(storage, source, keys, writing.key)
  const stored = { segments: 0, bytes: 0 }
  const streams: DumpedStream[] = []
  for (const [kind, content] of Object.entries(options.streams)) {
    const entries: ListEntry[] = []
    for (const plain of cut(sealer, content)) {
      const id = sealer.identity.identify(plain)
      const named = predecessor?.index.get(id)
      if (named !== undefined) entries.push(named)
      else {
        const payload = await compress(plain, { algorithm: options.compression ?? 'zstd', level: 3 })
        const sealed = sealer.seal(id, payload, plain.length, cipher)
        const entry = await storeSegment(storage, source, sealer, { id, plainLength: plain.length, sealed })
        entries.push(entry)
        stored.segments += 1
        stored.bytes += entry.sealedLength
      }
    }
    const digest = sealer.identity.createDigest().update(content).digest('hex')
    streams.push({
      kind,
      bytes: content.length,
      digest,
      segments: entries.length,
      entries: () => given(entries),
    })
  }
  return sealBackup({
    storage,
    writing,
    sealer,
    keys,
    facts: factsOf(options, cipher, now),
    streams,
    stored,
    predecessor,
    now,
    signal: new AbortController().signal,
  })
}

/** What a run knows of itself when it seals. */
export function factsOf(
  { run, compression }: Pick<BackUp, 'run' | 'compression'>,
  cipher: Cipher,
  now: Date,
) {
  return {
    run,
    attempt: createHash('sha256').update(run).digest('hex').slice(0, 8),
    source,
    destination: 'local',
    product: '0.1.0',
    requestedAt: now.toISOString(),
    startedAt: now.toISOString(),
    snapshotAt: now.toISOString(),
    server: { version: '15.18', major: 15, systemIdentifier: '7300000000000000000' },
    database: { name: 'shop', owner: 'shop', encoding: 'UTF8', locale: null },
    tool: 'pg_dump 15.18',
    options: {
      compression: { algorithm: compression ?? 'zstd', level: 3 },
      cipher,
      fingerprint: 'counts',
      retentionDays: 30,
    },
  }
}

function* cut(sealer: Sealer, content: Buffer): Generator<Buffer> {
  const cutter = new Cutter(sealer.identity.gearTable)
  yield* cutter.push(content)
  const last = cutter.end()
  if (last !== undefined) yield last
}

async function* given(entries: readonly ListEntry[]): AsyncGenerator<ListEntry> {
  for (const entry of entries) yield await Promise.resolve(entry)
}

/** Content that compresses a little and is cut into about `megabytes / 4` segments. */
export function content(megabytes: number): Buffer {
  const bytes = randomBytes(megabytes * 1024 * 1024)
  for (let at = 0; at < bytes.length; at += 4096) bytes.fill(0, at, at + 1024)
  return bytes
}

/** The index of everything that a backup names. */
export function indexOf(storage: Storage, opened: OpenManifest): Promise<SegmentIndex> {
  return new BackupReader(storage, opened).index()
}
