import { randomUUID } from 'node:crypto'
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
import { damaged } from './document.ts'
import { layout } from './layout.ts'

const repositorySchema = z.object({ format: z.number(), installation: z.string(), created: z.string() })

/** The installation that a repository belongs to; undefined if there is no repository yet. */
export async function readInstallation(storage: Storage): Promise<string | undefined> {
  const bytes = await storage.get(layout.repository)
  if (bytes === undefined) return undefined
  const { format, installation } = parseJson(repositorySchema, layout.repository, bytes)
  if (format > 1) {
    throw new BackupError(
      'FORMAT_UNKNOWN',
      `The repository in ${storage.shown} has format ${String(format)}.`,
      {
        hint: 'Read it with a newer version of SecuryFlex Backup.',
      },
    )
  }
  return installation
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
  for (const storage of storages) await refuseForeign(storage, keys, options.installation)
  const record = options.encrypted ? await agreeOnKey(storages, keys, options.now) : undefined
  const key = record === undefined ? undefined : await keys.open(record)
  const existing = await Promise.all(storages.map(readInstallation))
  const installation =
    options.installation ?? existing.find((name) => name !== undefined) ?? record?.id ?? randomUUID()
  for (const storage of storages) await claim(storage, installation, options.now)
  return { key, installation }
}

async function claim(storage: Storage, installation: string, now: Date): Promise<void> {
  const content = JSON.stringify({ format: 1, installation, created: now.toISOString() })
  await storage.putIfAbsent(layout.repository, Buffer.from(content))
  const owner = await readInstallation(storage)
  if (owner !== installation) throw otherInstallation(storage, owner)
}

/**
 * Makes sure that a repository is ours to write and to prune: it bears the configured name, or, without one,
 * some configured key opens one of its key records. One without key records has nothing to tell by.
 * @throws OTHER_INSTALLATION
 */
export async function refuseForeign(
  storage: Storage,
  keys: KeyRing,
  installation: string | undefined,
): Promise<void> {
  const owner = await readInstallation(storage)
  if (owner === undefined || owner === installation) return
  if (installation !== undefined) throw otherInstallation(storage, owner)
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
      hint: `If this machine takes over from it, set its key and BACKUP_INSTALLATION=${owner ?? '…'}; else use another BACKUP_DIR.`,
    },
  )
}

/** The record to write with: the oldest that the current key opens, at any store; else a new one. At all stores. */
async function agreeOnKey(storages: readonly Storage[], keys: KeyRing, now: Date): Promise<KeyRecord> {
  const found = await writableRecord(storages, keys)
  if (found !== undefined) {
    await publish(storages, found)
    return found
  }
  const created = await createKeyRecord(keys.writing(), now)
  await publish(storages, created)
  // Another worker may have done the same meanwhile: all take the oldest.
  return (await writableRecord(storages, keys)) ?? created
}

async function writableRecord(storages: readonly Storage[], keys: KeyRing): Promise<KeyRecord | undefined> {
  const records = (await Promise.all(storages.map(readKeyRecords))).flat()
  const writable: KeyRecord[] = []
  for (const record of records) {
    if (await keys.opensForWriting(record)) writable.push(record)
  }
  const age = ({ created, id }: KeyRecord) => `${created} ${id}`
  return writable.sort((a, b) => age(a).localeCompare(age(b))).at(0)
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
  const records: KeyRecord[] = []
  for await (const { key } of storage.list(layout.keys)) {
    const bytes = await storage.get(key)
    if (bytes !== undefined) records.push(parseJson(keyRecordSchema, key, bytes))
  }
  return records
}

function parseJson<T>(schema: z.ZodType<T>, name: string, bytes: Buffer): T {
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')))
  } catch (cause) {
    throw damaged(name, 'it cannot be read', cause)
  }
}
