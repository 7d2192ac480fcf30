import { BackupError } from '@securyflex/shared/errors'
import type { DataKey } from '@securyflex/shared/keys'
import type { Storage } from '@securyflex/shared/storage'
import { z } from 'zod'
import { decodeDocument, encodeDocument } from './document.ts'
import { keepOf, layout } from './layout.ts'
import type { OpenManifest } from './open-manifest.ts'

/** What a keep document says; docs/format.md, "Keeping". */
const keepSchema = z.object({
  format: z.literal(1),
  kind: z.literal('keep'),
  run: z.string(),
  action: z.enum(['keep', 'release']),
  /** Who said so: `command line (anna)`. */
  by: z.string(),
  at: z.iso.datetime(),
  reason: z.string().optional(),
})

/** Why a backup is not pruned, whatever the rules of retention say. */
export interface Kept {
  /** Undefined if the newest document cannot be trusted: then the backup counts as kept, too. */
  readonly by: string | undefined
  readonly at: string | undefined
  readonly reason: string | undefined
}

/** The keep documents of a source, by run; newest first. */
export type KeepNames = ReadonlyMap<string, readonly { readonly name: string; readonly time: number }[]>

/** Which backups of a source have keep documents at `storage`. `run` asks for those of one backup only. */
export async function listKeeps(storage: Storage, source: string, run = ''): Promise<KeepNames> {
  const found = new Map<string, { name: string; time: number }[]>()
  const prefix = `${layout.keeps(source)}${run === '' ? '' : `${run}.`}`
  for await (const { key } of storage.list(prefix)) {
    const named = keepOf(key)
    if (named === undefined) continue
    found.set(named.run, [...(found.get(named.run) ?? []), { name: key, time: named.time }])
  }
  for (const names of found.values()) names.sort((a, b) => b.time - a.time)
  return found
}

/**
 * Whether the newest of a backup's keep documents keeps it. In doubt it does: a document that is damaged, or that
 * nobody vouches for, may hide a word that keeps it.
 * @param key that of the backup's manifest; undefined if that has none: then checksums are all there is
 */
export async function readKept(
  storage: Storage,
  run: string,
  key: DataKey | undefined,
  names: KeepNames,
): Promise<Kept | undefined> {
  const [newest] = names.get(run) ?? []
  if (newest === undefined) return undefined
  const bytes = await storage.get(newest.name)
  const said = bytes === undefined ? undefined : read(newest.name, bytes, run, key)
  if (said === undefined || !(said.authenticated || key === undefined)) {
    return { by: undefined, at: undefined, reason: undefined }
  }
  const { action, by, at, reason } = said
  return action === 'release' ? undefined : { by, at, reason }
}

function read(name: string, bytes: Buffer, run: string, key: DataKey | undefined) {
  try {
    const document = decodeDocument(name, bytes)
    document.check(key)
    const parsed = keepSchema.safeParse(document.content)
    if (!parsed.success || parsed.data.run !== run) return undefined
    return { ...parsed.data, authenticated: document.authenticated }
  } catch (error) {
    if (error instanceof BackupError && error.code === 'MANIFEST_DAMAGED') return undefined
    throw error
  }
}

/** The same in words, for plans and listings. */
export function describeKept({ by, at, reason }: Kept): string {
  if (by === undefined || at === undefined) return 'kept, since its keep document cannot be read'
  return `kept by ${by} since ${at.slice(0, 10)}${reason === undefined ? '' : `: ${reason}`}`
}

/** What is to be written down about a backup. */
export interface Keeping {
  readonly action: 'keep' | 'release'
  readonly by: string
  readonly now: Date
  readonly reason: string | undefined
}

/**
 * Keeps a backup from being pruned at one store, or gives it back to the rules. What is said last counts; each word is
 * a document of its own, so that nothing is changed in place and nothing needs to be deleted.
 * @returns whether that changed anything
 * @throws BACKUP_NOT_FOUND if the backup was removed meanwhile
 */
export async function keepBackup(
  storage: Storage,
  { manifest, key }: OpenManifest,
  { action, by, now, reason }: Keeping,
): Promise<boolean> {
  const { source, run } = manifest
  const names = await listKeeps(storage, source, run)
  const kept = await readKept(storage, run, key, names)
  const isSo = action === 'keep' ? kept?.by !== undefined : kept === undefined
  if (isSo) return false
  const content = { format: 1, kind: 'keep', run, action, by, at: now.toISOString(), reason }
  // Clocks differ between machines: the word that is said later bears the later time.
  let time = Math.max(now.getTime(), (names.get(run)?.[0]?.time ?? 0) + 1)
  for (;;) {
    const name = layout.keep(source, run, time)
    if (await storage.putIfAbsent(name, encodeDocument(name, content, key))) break
    time += 1
  }
  const after = await readKept(storage, run, key, await listKeeps(storage, source, run))
  if ((after?.by !== undefined) !== (action === 'keep')) {
    throw new BackupError('STORAGE_UNREACHABLE', `${storage.shown} did not keep the word about ${run}.`, {
      hint: 'Say it again; if that does not help, look at the disk or the mount there.',
    })
  }
  // A prune that had not seen this word puts the manifest back; one that was through before it does not.
  if (action === 'release' || (await storage.stat(layout.manifest(source, run))) !== undefined) return true
  throw new BackupError(
    'BACKUP_NOT_FOUND',
    `${run} was pruned from ${storage.shown} before it could be kept.`,
    {
      hint: 'See what there is with: npx --no securyflex-backup list',
    },
  )
}
