import { cp, readFile, writeFile } from 'node:fs/promises'
import { constants } from 'node:fs'
import { join } from 'node:path'
import { type ChosenBackup, findBackup, restore, type Restored } from '@securyflex/shared/backup'
import type { Config } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import {
  compareFingerprints,
  dropDatabase,
  takeFingerprint,
  unfinishedRestores,
} from '@securyflex/shared/postgres'
import { BackupReader, layout } from '@securyflex/shared/repository'
import { openStorageForReading } from '@securyflex/shared/storage'
import { type Client, withClient } from './client.ts'
import type { DemoDatabase } from './database.ts'
import type { Stage } from './stage.ts'

/** Opens a backup in the repository at `directory`. */
export async function openBackup(
  config: Config,
  directory: string,
  run: string,
  keys = new KeyRing(config.keys),
): Promise<ChosenBackup> {
  const storages = [openStorageForReading({ kind: 'local', name: 'local', directory })]
  return findBackup({ what: run, source: undefined, storages, keys })
}

/** Restores a backup into the scratch database and compares it with what was recorded; what fails leaves none. */
export async function restoreToScratch(
  { config: { pgBinDirectory }, signal }: Stage,
  backup: ChosenBackup,
  { target, scratch, elsewhere }: DemoDatabase,
): Promise<Restored> {
  const owners = !elsewhere
  return restore({ backup, target, name: scratch, owners, keepDifferent: true, pgBinDirectory, signal })
}

/** In what the scratch database differs from the source as it is now. */
export async function differencesFromSource({
  source,
  target,
  scratch,
}: DemoDatabase): Promise<readonly string[]> {
  const fingerprint = (client: Client) => takeFingerprint(client, 'checksums')
  const now = await withClient(source, fingerprint)
  const restored = await withClient({ ...target, database: scratch }, fingerprint)
  return compareFingerprints(now, restored).differences
}

/** The scratch database if it is there, and what unfinished restores left on its server, ours or another's. */
export async function leftByRestores({ target, scratch }: DemoDatabase): Promise<readonly string[]> {
  return withClient(target, async (client) => {
    const { rowCount } = await client.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [
      scratch,
    ])
    const unfinished = (await unfinishedRestores(client)).map(({ name }) => name)
    return rowCount === 0 ? unfinished : [scratch, ...unfinished]
  })
}

export async function dropScratch({ target, scratch }: DemoDatabase): Promise<void> {
  await dropDatabase(target, scratch)
}

/**
 * Copies a repository and changes one byte of a segment of the archive in the copy.
 * @returns the segment's id
 */
export async function tamperWithCopy(
  { storage, opened }: ChosenBackup,
  original: string,
  copy: string,
): Promise<string> {
  await cp(original, copy, { recursive: true, mode: constants.COPYFILE_FICLONE })
  const reader = new BackupReader(storage, opened)
  const archive = reader.stream('archive')
  if (archive === undefined) throw new BackupError('INTERNAL', 'The backup has no archive.')
  for await (const { id } of reader.entries(archive)) {
    const path = join(copy, layout.segment(opened.manifest.source, id))
    const bytes = await readFile(path)
    const middle = Math.floor(bytes.length / 2)
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
    await writeFile(path, bytes)
    return id.toString('hex')
  }
  throw new BackupError('INTERNAL', 'The archive has no segment.')
}
