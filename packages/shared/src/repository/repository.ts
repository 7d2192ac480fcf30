import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
import {
  createKeyRecord,
  type DataKey,
  type KeyRecord,
  keyRecordSchema,
  type KeyRing,
} from '@securyflex/shared/keys'
import { type Storage, within } from '@securyflex/shared/storage'
import { z } from 'zod'
import { newestAdoption } from './adoption.ts'
import { damaged, damagedThere } from './document.ts'
import { layout } from './layout.ts'
import { Stores } from './stores.ts'

const repositorySchema = z.object({
  format: z.number(),
  installation: z.string(),
  created: z.string(),
  /** Id of the first key: what all writers agree on when several begin at once. */
  key: z.string().optional(),
})
type Repository = z.infer<typeof repositorySchema>

/** The installation that a repository belongs to; undefined if there is no repository yet. */
export async function readInstallation(storage: Storage): Promise<string | undefined> {
  return (await readRepository(storage))?.installation
}

async function readRepository(storage: Storage): Promise<Repository | undefined> {
  const bytes = await storage.get(layout.repository)
  if (bytes === undefined) return undefined
  const repository = parseJson(repositorySchema, storage, layout.repository, bytes)
  if (repository.format === 1) {
    const { installation = repository.installation } = (await newestAdoption(storage))?.adoption ?? {}
    return { ...repository, installation }
  }
  throw new BackupError(
    'FORMAT_UNKNOWN',
    `The repository in ${storage.shown} has format ${repository.format}.`,
    {
      hint: 'Read it with a newer version of SecuryFlex Backup.',
    },
  )
}

/** What a run writes with: the key, and whose repository it is. */
export interface Writing {
  /** Undefined without encryption. */
  readonly key: DataKey | undefined
  readonly installation: string
}

/** What {@link prepareRepositories} came to. */
export interface Prepared extends Writing {
  /** The stores that cannot be used now, and why. */
  readonly unusable: ReadonlyMap<Storage, BackupError>
}

/** What a store has for saying whose it is, in ms: it is small, and a snapshot may be held meanwhile. */
const patience = 30_000

/**
 * Makes every store of `storages` that can be used a repository of one installation with one writing key, creating what
 * is missing. Key records are write-once and the same everywhere. Stores are independent: one that is dead, full or
 * another installation's is left out, and keeps nobody from the others.
 * @param installation the configured name; without it the first repository's, else the key's id
 * @throws what the stores said if none of them can be used
 */
export async function prepareRepositories(
  storages: readonly Storage[],
  keys: KeyRing,
  options: { encrypted: boolean; installation: string | undefined; now: Date },
): Promise<Prepared> {
  const stores = new Stores(storages)
  const { unusable } = stores
  const found = await stores.each((storage) => within(patience, storage, look))
  const agreed = options.encrypted ? await agreedUpon(found, keys, options.installation) : undefined
  if (agreed !== undefined) return { ...agreed, unusable }
  await stores.each((storage) => refuseForeign(storage, keys, options.installation))
  const ours = await openedBy(keys, stores)
  const proposed = options.encrypted ? await proposeKey(stores, keys, options.now) : undefined
  const existing = await stores.each(readInstallation)
  const wanted =
    options.installation ?? existing.find((name) => name !== undefined) ?? proposed?.id ?? randomUUID()
  const claims = { installation: wanted, created: options.now.toISOString(), key: proposed?.id }
  const installation = await claimAll(stores, claims, options.installation, ours)
  const record = proposed === undefined ? undefined : await agreeOnKey(stores, keys, proposed)
  return { key: record === undefined ? undefined : await keys.open(record), installation, unusable }
}

/** What a store says of itself. */
const look = (storage: Storage) => Promise.all([readRepository(storage), readKeyRecords(storage)])

/**
 * What all stores say alike, so that nothing is to be made: the usual case, which must not cost a distant store many
 * requests. Undefined if anything is missing or differs.
 */
async function agreedUpon(
  found: readonly Awaited<ReturnType<typeof look>>[],
  keys: KeyRing,
  configured: string | undefined,
): Promise<Writing | undefined> {
  const [repository, records] = found[0] ?? []
  const installation = configured ?? repository?.installation
  if (configured === undefined && isName(installation ?? '')) return undefined
  const record = records?.find(({ id }) => id === repository?.key)
  if (record === undefined || installation === undefined || !(await keys.opensForWriting(record))) {
    return undefined
  }
  const alike = found.every(
    ([other, others]) =>
      other !== undefined &&
      (configured === undefined || other.installation === configured) &&
      others.some((one) => isDeepStrictEqual(one, record)),
  )
  return alike ? { key: await keys.open(record), installation } : undefined
}

/**
 * Makes a store a repository that holds `record`, for a copy of what another one has: with that one's key, and, unless
 * one is configured or has been given, its installation's name.
 * @returns the installation
 * @throws OTHER_INSTALLATION
 */
export async function joinRepository(
  storage: Storage,
  keys: KeyRing,
  record: KeyRecord | null,
  options: { configured: string | undefined; installation: string; now: Date },
): Promise<string> {
  const { configured, installation, now } = options
  await refuseForeign(storage, keys, configured)
  if (record !== null) await publish(storage, record)
  const claims = { installation: configured ?? installation, created: now.toISOString(), key: record?.id }
  return (await claim(storage, claims)).installation
}

/** The stores with a key record that opens: whatever name they bear, they are this installation's. */
async function openedBy(keys: KeyRing, stores: Stores): Promise<ReadonlySet<Storage>> {
  const found = await stores.each(async (storage) => {
    for await (const _ of openedKeys(storage, keys)) return [storage]
    return []
  })
  return new Set(found.flat())
}

/**
 * Has every store bear a name. The first one decides between writers that begin at once; without a configured name its
 * owner is taken over, and so is that of others in `ours`: each was first where another was away.
 */
async function claimAll(
  stores: Stores,
  claims: Omit<Repository, 'format'>,
  configured: string | undefined,
  ours: ReadonlySet<Storage>,
): Promise<string> {
  let installation = configured
  for (const storage of stores.usable) {
    await stores.one(storage, async () => {
      const named = { ...claims, installation: installation ?? claims.installation }
      const owner = (await claim(storage, named)).installation
      const isForeign = configured !== undefined || !ours.has(storage)
      if (installation !== undefined && owner !== installation && isForeign) {
        throw otherInstallation(storage, owner)
      }
      installation ??= owner
    })
  }
  return installation ?? claims.installation
}

/** Writes `repository.json` unless it is there; gives what is there then. */
async function claim(storage: Storage, claims: Omit<Repository, 'format'>): Promise<Repository> {
  await storage.putIfAbsent(layout.repository, Buffer.from(JSON.stringify({ format: 1, ...claims })))
  const repository = await readRepository(storage)
  if (repository === undefined) throw damaged(layout.repository, `${storage.shown} did not keep it`)
  return repository
}

/** Whether somebody gave the installation this name: it is neither a key's id nor a drawn one. */
function isName(installation: string): boolean {
  return !/^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.test(installation)
}

/**
 * Makes sure that a repository is ours to write and to prune: it bears the configured name, or, where neither has
 * one, some configured key opens one of its key records. One without key records has nothing to tell by.
 * @returns whose it is; undefined if there is no repository
 * @throws OTHER_INSTALLATION
 */
export async function refuseForeign(
  storage: Storage,
  keys: KeyRing,
  installation: string | undefined,
): Promise<string | undefined> {
  const owner = await readInstallation(storage)
  if (owner === undefined || owner === installation) return owner
  if (installation !== undefined || isName(owner)) throw otherInstallation(storage, owner)
  if (keys.empty) return owner
  for await (const _ of openedKeys(storage, keys)) return owner
  if ((await readKeyRecords(storage)).length > 0) throw otherInstallation(storage, owner)
  return owner
}

function otherInstallation(storage: Storage, owner: string | undefined): BackupError {
  return new BackupError(
    'OTHER_INSTALLATION',
    `The repository in ${storage.shown} belongs to another installation (${owner ?? 'unknown'}).`,
    {
      hint: `If this machine is part of it, set its key and BACKUP_INSTALLATION=${owner ?? '…'}; if it takes over from it: npx --no securyflex-backup adopt; else use another BACKUP_DIR.`,
    },
  )
}

/** The record to write with if there is one already, else a new one; kept before any repository names it. */
async function proposeKey(stores: Stores, keys: KeyRing, now: Date): Promise<KeyRecord> {
  const record = (await writableRecord(stores, keys)) ?? (await createKeyRecord(keys.writing(), now))
  await stores.each((storage) => publish(storage, record))
  return record
}

/** Another worker may have proposed another key meanwhile: all take the one that they find named. At all stores. */
async function agreeOnKey(stores: Stores, keys: KeyRing, proposed: KeyRecord): Promise<KeyRecord> {
  const record = (await writableRecord(stores, keys)) ?? proposed
  if (record.id !== proposed.id) await stores.each((storage) => publish(storage, record))
  return record
}

/** Of the records that the current key opens, the one that a repository names as its first, else the oldest. */
async function writableRecord(stores: Stores, keys: KeyRing): Promise<KeyRecord | undefined> {
  const found = await stores.each(look)
  const writable: KeyRecord[] = []
  for (const record of found.flatMap(([, records]) => records)) {
    if (await keys.opensForWriting(record)) writable.push(record)
  }
  const age = ({ created, id }: KeyRecord) => `${created} ${id}`
  const oldestFirst = writable.sort((a, b) => age(a).localeCompare(age(b)))
  const named = found.flatMap(([repository]) => repository?.key ?? [])
  return oldestFirst.find(({ id }) => named[0] === id) ?? oldestFirst.at(0)
}

async function publish(storage: Storage, record: KeyRecord): Promise<void> {
  const name = layout.key(record.id)
  await storage.putIfAbsent(name, Buffer.from(JSON.stringify(record)))
  const stored = await storage.get(name)
  if (stored === undefined) throw damaged(name, `${storage.shown} did not keep it`)
  if (parseJson(keyRecordSchema, storage, name, stored).wrapped !== record.wrapped) {
    throw damaged(name, `${storage.shown} holds another record under this name`)
  }
}

/** The key records of a repository. @throws MANIFEST_DAMAGED if one cannot be read */
export async function readKeyRecords(storage: Storage): Promise<KeyRecord[]> {
  const names: string[] = []
  for await (const { key } of storage.list(layout.keys)) names.push(key)
  const records = names.map(async (name) => {
    const bytes = await storage.get(name)
    return bytes === undefined ? [] : [parseJson(keyRecordSchema, storage, name, bytes)]
  })
  return (await Promise.all(records)).flat()
}

/** The keys of a repository that can be opened here. @throws MANIFEST_DAMAGED if a record cannot be read or was altered */
export async function* openedKeys(storage: Storage, keys: KeyRing): AsyncGenerator<DataKey> {
  for (const record of await readKeyRecords(storage)) {
    try {
      if (!(await keys.opens(record))) continue
    } catch (error) {
      if (asBackupError(error).code !== 'MANIFEST_DAMAGED') throw error
      throw spoilt(storage, layout.key(record.id), 'it was altered', error)
    }
    yield await keys.open(record)
  }
}

/**
 * Whether what a repository says of itself can be read.
 * @throws MANIFEST_DAMAGED, which names the place and says how to mend it; FORMAT_UNKNOWN
 */
export async function checkOwnDocuments(storage: Storage, keys: KeyRing): Promise<void> {
  await readRepository(storage)
  if (keys.empty) await readKeyRecords(storage)
  else await Array.fromAsync(openedKeys(storage, keys))
}

function parseJson<T>(schema: z.ZodType<T>, storage: Storage, name: string, bytes: Buffer): T {
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')))
  } catch (cause) {
    throw spoilt(storage, name, 'it cannot be read', cause)
  }
}

function spoilt(storage: Storage, name: string, why: string, cause: unknown): BackupError {
  const hint =
    name === layout.repository
      ? 'Move that one file out of there; the next run writes it again.'
      : `Mend it with: npx --no securyflex-backup scrub --destination ${storage.name} (or move that one file out of there; the next run writes one again).`
  return damagedThere(storage, name, why, { hint, cause })
}
