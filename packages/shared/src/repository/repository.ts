import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { BackupError } from '@securyflex/shared/errors'
import {
  createKeyRecord,
  type DataKey,
  type KeyRecord,
  keyRecordSchema,
  type KeyRing,
} from '@securyflex/shared/keys'
import type { Storage } from '@securyflex/shared/storage'
import { z } from 'zod'
import { newestAdoption } from './adoption.ts'
import { damaged } from './document.ts'
import { layout } from './layout.ts'

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
  const repository = parseJson(repositorySchema, layout.repository, bytes)
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

/**
 * Makes every store of `storages` a repository of one installation with one writing key, creating what is
 * missing. Key records are write-once and the same everywhere.
 * @param installation the configured name; without it the first repository's, else the key's id
 * @throws OTHER_INSTALLATION if a repository belongs to another one
 */
export async function prepareRepositories(
  storages: readonly Storage[],
  keys: KeyRing,
  options: { encrypted: boolean; installation: string | undefined; now: Date },
): Promise<Writing> {
  const agreed = options.encrypted ? await agreedUpon(storages, keys, options.installation) : undefined
  if (agreed !== undefined) return agreed
  for (const storage of storages) await refuseForeign(storage, keys, options.installation)
  const proposed = options.encrypted ? await proposeKey(storages, keys, options.now) : undefined
  const existing = await Promise.all(storages.map(readInstallation))
  const wanted =
    options.installation ?? existing.find((name) => name !== undefined) ?? proposed?.id ?? randomUUID()
  const claims = { installation: wanted, created: options.now.toISOString(), key: proposed?.id }
  // The first store decides between writers that begin at once; without a configured name its owner is taken over.
  const [first, ...others] = storages
  const installation = first === undefined ? wanted : (await claim(first, claims)).installation
  if (first !== undefined && options.installation !== undefined && installation !== wanted) {
    throw otherInstallation(first, installation)
  }
  for (const storage of others) {
    const owner = (await claim(storage, { ...claims, installation })).installation
    if (owner !== installation) throw otherInstallation(storage, owner)
  }
  const record = proposed === undefined ? undefined : await agreeOnKey(storages, keys, proposed)
  return { key: record === undefined ? undefined : await keys.open(record), installation }
}

/**
 * What all stores say alike, so that nothing is to be made: the usual case, which must not cost a distant store many
 * requests. Undefined if anything is missing or differs.
 */
async function agreedUpon(
  storages: readonly Storage[],
  keys: KeyRing,
  configured: string | undefined,
): Promise<Writing | undefined> {
  const found = await Promise.all(
    storages.map((storage) => Promise.all([readRepository(storage), readKeyRecords(storage)])),
  )
  const [repository, records] = found[0] ?? []
  const installation = configured ?? repository?.installation
  if (configured === undefined && isName(installation ?? '')) return undefined
  const record = records?.find(({ id }) => id === repository?.key)
  if (record === undefined || installation === undefined || !(await keys.opensForWriting(record))) {
    return undefined
  }
  const alike = found.every(
    ([other, others]) =>
      other?.installation === installation && others.some((one) => isDeepStrictEqual(one, record)),
  )
  return alike ? { key: await keys.open(record), installation } : undefined
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
 * @throws OTHER_INSTALLATION
 */
export async function refuseForeign(
  storage: Storage,
  keys: KeyRing,
  installation: string | undefined,
): Promise<void> {
  const owner = await readInstallation(storage)
  if (owner === undefined || owner === installation) return
  if (installation !== undefined || isName(owner)) throw otherInstallation(storage, owner)
  if (keys.empty) return
  const records = await readKeyRecords(storage)
  for (const record of records) {
    if (await keys.opens(record)) return
  }
  if (records.length > 0) throw otherInstallation(storage, owner)
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
async function proposeKey(storages: readonly Storage[], keys: KeyRing, now: Date): Promise<KeyRecord> {
  const record = (await writableRecord(storages, keys)) ?? (await createKeyRecord(keys.writing(), now))
  await publish(storages, record)
  return record
}

/** Another worker may have proposed another key meanwhile: all take the one that they find named. At all stores. */
async function agreeOnKey(
  storages: readonly Storage[],
  keys: KeyRing,
  proposed: KeyRecord,
): Promise<KeyRecord> {
  const record = (await writableRecord(storages, keys)) ?? proposed
  if (record.id !== proposed.id) await publish(storages, record)
  return record
}

/** Of the records that the current key opens, the one that a repository names as its first, else the oldest. */
async function writableRecord(storages: readonly Storage[], keys: KeyRing): Promise<KeyRecord | undefined> {
  const records = (await Promise.all(storages.map(readKeyRecords))).flat()
  const writable: KeyRecord[] = []
  for (const record of records) {
    if (await keys.opensForWriting(record)) writable.push(record)
  }
  const age = ({ created, id }: KeyRecord) => `${created} ${id}`
  const oldestFirst = writable.sort((a, b) => age(a).localeCompare(age(b)))
  const named = (await Promise.all(storages.map(readRepository))).flatMap(
    (repository) => repository?.key ?? [],
  )
  return oldestFirst.find(({ id }) => named[0] === id) ?? oldestFirst.at(0)
}

async function publish(storages: readonly Storage[], record: KeyRecord): Promise<void> {
  const name = layout.key(record.id)
  for (const storage of storages) {
    await storage.putIfAbsent(name, Buffer.from(JSON.stringify(record)))
    const stored = await storage.get(name)
    if (stored === undefined) throw damaged(name, `${storage.shown} did not keep it`)
    if (parseJson(keyRecordSchema, name, stored).wrapped !== record.wrapped) {
      throw damaged(name, `${storage.shown} holds another record under this name`)
    }
  }
}

/** The key records of a repository. @throws MANIFEST_DAMAGED if one cannot be read */
export async function readKeyRecords(storage: Storage): Promise<KeyRecord[]> {
  const names: string[] = []
  for await (const { key } of storage.list(layout.keys)) names.push(key)
  const records = names.map(async (name) => {
    const bytes = await storage.get(name)
    return bytes === undefined ? [] : [parseJson(keyRecordSchema, name, bytes)]
  })
  return (await Promise.all(records)).flat()
}

function parseJson<T>(schema: z.ZodType<T>, name: string, bytes: Buffer): T {
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')))
  } catch (cause) {
    throw damaged(name, 'it cannot be read', cause)
  }
}
