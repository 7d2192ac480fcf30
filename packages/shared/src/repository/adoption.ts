import type { Storage } from '@securyflex/shared/storage'
import { z } from 'zod'
import { damagedThere } from './document.ts'
import { layout, timeIn } from './layout.ts'

/** A repository changes hands; docs/format.md, "Objects". */
const adoptionSchema = z.object({
  format: z.literal(1),
  kind: z.literal('adoption'),
  installation: z.string(),
  /** Whose it was. */
  from: z.string(),
  by: z.string(),
  at: z.iso.datetime(),
})
export type Adoption = z.infer<typeof adoptionSchema>

/** The last adoption of a repository and its time; undefined if it is still whose it was first. */
export async function newestAdoption(
  storage: Storage,
): Promise<{ readonly adoption: Adoption; readonly time: number } | undefined> {
  let newest: { name: string; time: number } | undefined
  for await (const { key } of storage.list(layout.adoptions)) {
    const time = timeIn(/^repository\.(\d{1,15})\.json$/.exec(key)?.[1])
    if (time !== undefined && time > (newest?.time ?? -1)) newest = { name: key, time }
  }
  const bytes = newest === undefined ? undefined : await storage.get(newest.name)
  if (newest === undefined || bytes === undefined) return undefined
  try {
    return { adoption: adoptionSchema.parse(JSON.parse(bytes.toString('utf8'))), time: newest.time }
  } catch (cause) {
    const hint = 'Move that one file out of there, then type: npx --no securyflex-backup adopt'
    throw damagedThere(storage, newest.name, 'it cannot be read', { hint, cause })
  }
}
