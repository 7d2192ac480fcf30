import { randomBytes } from 'node:crypto'
import { type Cipher, type FingerprintLevel, parseConnection } from '@securyflex/shared/config'
import { Secret } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import {
  databaseShape,
  dumpArchive,
  dumpGlobals,
  findTools,
  holdSnapshot,
  openConnection,
  sameServer,
  serverFacts,
  takeFingerprint,
} from '@securyflex/shared/postgres'
import {
  newRunId,
  prepareRepositories,
  sealBackup,
  storeSegment,
  type Writing,
} from '@securyflex/shared/repository'
import { compress, Cutter, type ListEntry, Sealer } from '@securyflex/shared/segments'
import { openStorage, type Storage } from '@securyflex/shared/storage'

export interface BackupToMake {
  /** Connection string of the source. */
  readonly url: string
  /** Root of the repository; it is created. */
  readonly repository: string
  readonly source?: string
  /** Without one nothing is encrypted. */
  readonly key?: string
  readonly cipher?: Exclude<Cipher, 'none'>
  readonly fingerprint?: FingerprintLevel
  /** What the run's id says; default: now. */
  readonly time?: Date
}

/**
 * Makes one backup without queues or workers: dump, cut, compress, seal, in this process. For tests of what
 * reads backups; what makes them is tested where it is.
 * @returns the run's id
 */
export async function makeBackup(wanted: BackupToMake): Promise<string> {
  const { source = 'shop', time = new Date() } = wanted
  const keys = new KeyRing({
    current: wanted.key === undefined ? undefined : new Secret(wanted.key),
    previous: [],
  })
  const storage = await openStorage({ kind: 'local', name: 'local', directory: wanted.repository })
  const encrypted = wanted.key !== undefined
  const writing = await prepareRepositories([storage], keys, {
    encrypted,
    installation: undefined,
    now: new Date(),
  })
  const options = {
    compression: { algorithm: 'zstd' as const, level: 3 },
    cipher: encrypted ? (wanted.cipher ?? 'aes-256-gcm') : ('none' as const),
    fingerprint: wanted.fingerprint ?? 'checksums',
    retentionDays: 30,
  }
  const run = newRunId(source, time)
  const writer = new StreamWriter(storage, source, writing, options)
  const facts = await dump(wanted.url, options.fingerprint, writer)
  const sealer = writer.sealer
  const { streams, stored } = writer
  const opened = await sealBackup({
    storage,
    writing,
    sealer,
    keys,
    streams,
    stored,
    predecessor: undefined,
    now: new Date(),
    signal: new AbortController().signal,
    facts: {
      ...facts,
      run,
      attempt: randomBytes(4).toString('hex'),
      source,
      destination: 'local',
      product: 'test',
      requestedAt: time.toISOString(),
      startedAt: time.toISOString(),
      options,
    },
  })
  return opened.manifest.run
}

async function dump(url: string, level: FingerprintLevel, writer: StreamWriter) {
  const { connection } = parseConnection(url, {})
  const client = await openConnection(connection, { applicationName: 'test' })
  try {
    const server = await serverFacts(client)
    const tools = await findTools(server.major)
    const database = { ...(await databaseShape(client, server.versionNumber)) }
    const snapshot = await holdSnapshot(client, 'test')
    const globals = await dumpGlobals(tools, connection)
    await writer.write('globals', globals.stdout)
    const fingerprint = await takeFingerprint(client, level)
    if (fingerprint !== undefined)
      await writer.write('fingerprint', [Buffer.from(JSON.stringify(fingerprint))])
    await writer.write('archive', dumpArchive(tools, sameServer(connection, client), snapshot.id).stdout)
    await snapshot.release()
    return {
      snapshotAt: snapshot.takenAt.toISOString(),
      server: {
        version: server.version,
        major: server.major,
        systemIdentifier: server.systemIdentifier ?? null,
      },
      database,
      tool: `pg_dump ${tools.version}`,
    }
  } finally {
    await client.end()
  }
}

type Options = Parameters<typeof sealBackup>[0]['facts']['options']

/** Cuts, compresses, seals and stores streams, and remembers what they were. */
class StreamWriter {
  readonly sealer: Sealer
  readonly streams: Parameters<typeof sealBackup>[0]['streams'][number][] = []
  readonly stored = { segments: 0, bytes: 0 }
  readonly #storage: Storage
  readonly #source: string
  readonly #options: Options

  constructor(storage: Storage, source: string, writing: Writing, options: Options) {
    this.#storage = storage
    this.#source = source
    this.#options = options
    this.sealer = new Sealer(writing.key)
  }

  async write(kind: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    const cutter = new Cutter(this.sealer.identity.gearTable)
    const digest = this.sealer.identity.createDigest()
    const entries: ListEntry[] = []
    let bytes = 0
    for await (const chunk of chunks) {
      digest.update(chunk)
      bytes += chunk.length
      for (const plain of cutter.push(chunk)) entries.push(await this.#store(plain))
    }
    const last = cutter.end()
    if (last !== undefined) entries.push(await this.#store(last))
    this.streams.push({
      kind,
      bytes,
      digest: digest.digest('hex'),
      segments: entries.length,
      entries: async function* () {
        for (const entry of entries) yield await Promise.resolve(entry)
      },
    })
  }

  async #store(plain: Buffer): Promise<ListEntry> {
    const { compression, cipher } = this.#options
    const id = this.sealer.identity.identify(plain)
    const payload = await compress(plain, compression as Parameters<typeof compress>[1])
    const sealed = this.sealer.seal(id, payload, plain.length, cipher as Cipher)
    const entry = await storeSegment(this.#storage, this.#source, this.sealer, {
      id,
      plainLength: plain.length,
      sealed,
    })
    if (entry.fresh) {
      this.stored.segments += 1
      this.stored.bytes += entry.sealedLength
    }
    return entry
  }
}
