import type { Storage } from '@securyflex/shared/storage'
import { layout } from './layout.ts'
import type { Removal } from './removal.ts'
import { gracePeriod } from './segment-store.ts'

/** How long a bad segment that was set aside is kept for whoever looks into it. */
const forInspection = gracePeriod + 30 * 24 * 60 * 60 * 1000

/** Removes what was set aside as bad more than 37 days ago by the place's own clock. Nothing ever reads it again. */
export async function removeOldAside(storage: Storage, source: string, removal: Removal): Promise<void> {
  const oldest = (await storage.now()).getTime() - forInspection
  for await (const object of storage.list(layout.asides(source))) {
    const isOurs = /\/aside\/[0-9a-f]{64}\.\d{1,15}$/.test(object.key)
    if (isOurs && object.modified.getTime() < oldest) await removal.remove(object)
  }
}
