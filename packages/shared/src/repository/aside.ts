import { BackupError } from '@securyflex/shared/errors'
import type { Storage } from '@securyflex/shared/storage'
import { layout } from './layout.ts'

/**
 * Takes a bad segment out of the way, keeping its bytes for whoever looks into it: the next run misses it and
 * stores it again, which mends every backup that names it. One that somebody stored again meanwhile stays. Where
 * nothing may be removed it is emptied: no run takes what has another size for whole.
 */
export async function setAside(
  storage: Storage,
  source: string,
  { id }: { readonly id: Buffer },
  now: Date,
): Promise<void> {
  const name = layout.segment(source, id)
  const bytes = await storage.get(name)
  if (bytes === undefined || bytes.length === 0) return
  await storage.put(layout.aside(source, id, now), bytes)
  if ((await storage.get(name))?.equals(bytes) !== true) return
  try {
    await storage.delete(name)
  } catch (error) {
    const isRefused = error instanceof BackupError && error.code === 'STORAGE_REFUSED'
    if (!isRefused) throw error
    await storage.put(name, new Uint8Array(0))
  }
}
