import { setTimeout as delay } from 'node:timers/promises'
import type { SegmentIndex } from '@securyflex/shared/segments'
import { BackupError } from '@securyflex/shared/errors'
import type { Storage } from '@securyflex/shared/storage'
import { z } from 'zod'
import { decodeDocument, encodeDocument } from './document.ts'
import { layout } from './layout.ts'
import type { Removal } from './removal.ts'

const minute = 60 * 1000
/** What is condemned is removed within this time, by the remover's clock. */
const longestSweep = 30 * minute
/** Whoever was killed in the middle of it removes nothing any more after this time, by the store's clock. */
const over = 60 * minute
/** How often a backup looks whether a sweep is over. */
const pause = 2000

/** docs/format.md, "Sweeps". */
const sweepSchema = z.object({
  format: z.literal(1),
  kind: z.literal('sweep'),
  at: z.iso.datetime(),
  segments: z.array(z.string().regex(/^[0-9a-f]{64}$/)),
})

/**
 * The word that some segments are being removed. A backup may store one of them again in the very moment between the
 * last look at it and its removal; no store can refuse that. So it is said first, and then it is seen which backups were
 * sealed; and who has sealed a backup sees then what was said, and waits: one of the two sees the other.
 */
export class Condemnation {
  readonly #name: string
  readonly #until = performance.now() + longestSweep

  private constructor(name: string) {
    this.#name = name
  }

  /** @throws STORAGE_UNREACHABLE if the store did not keep the word */
  static async say(
    storage: Storage,
    source: string,
    ids: readonly Buffer[],
    now: Date,
  ): Promise<Condemnation> {
    const segments = ids.map((id) => id.toString('hex'))
    const content = { format: 1, kind: 'sweep', at: now.toISOString(), segments }
    for (let time = now.getTime(); ; time++) {
      const name = layout.sweep(source, time)
      const document = encodeDocument(name, content, undefined)
      if (!(await storage.putIfAbsent(name, document))) continue
      if ((await storage.get(name))?.equals(document) === true) return new Condemnation(name)
      throw new BackupError('STORAGE_UNREACHABLE', `${storage.shown} did not keep ${name}.`, {
        hint: 'Nothing was removed; look at the disk or the mount there.',
      })
    }
  }

  /** Whether nothing may be removed on this word any more: the next prune says it again. */
  get isLate(): boolean {
    return performance.now() > this.#until
  }

  async takeBack(removal: Removal): Promise<void> {
    await removal.forget({ key: this.#name })
  }

  /** Removes the words of those who were killed. */
  static async forgetOld(storage: Storage, source: string, removal: Removal): Promise<void> {
    for (const key of (await listSweeps(storage, source)).old) await removal.forget({ key })
  }
}

/**
 * Waits until nobody removes anything of what a backup names, which is sealed by now.
 * @param wait for so many ms; tests give their own
 */
export async function outlastSweeps(
  storage: Storage,
  source: string,
  index: SegmentIndex,
  signal: AbortSignal,
  wait = (ms: number): Promise<unknown> => delay(ms, undefined, { signal }),
): Promise<void> {
  while (await isBeingSwept(storage, source, index)) {
    signal.throwIfAborted()
    await wait(pause)
  }
}

async function isBeingSwept(storage: Storage, source: string, index: SegmentIndex): Promise<boolean> {
  for (const name of (await listSweeps(storage, source)).young) {
    const bytes = await storage.get(name)
    if (bytes !== undefined && names(name, bytes, index)) return true
  }
  return false
}

async function listSweeps(storage: Storage, source: string): Promise<{ young: string[]; old: string[] }> {
  const found: { key: string; modified: Date }[] = []
  for await (const object of storage.list(layout.sweeps(source))) found.push(object)
  if (found.length === 0) return { young: [], old: [] }
  const since = (await storage.now()).getTime() - over
  const isYoung = ({ modified }: { modified: Date }) => modified.getTime() > since
  return {
    young: found.filter(isYoung).map(({ key }) => key),
    old: found.filter((one) => !isYoung(one)).map(({ key }) => key),
  }
}

/** Whether it condemns something of `index`. One that cannot be read may condemn anything. */
function names(name: string, bytes: Buffer, index: SegmentIndex): boolean {
  try {
    const document = decodeDocument(name, bytes)
    document.check(undefined)
    const { segments } = sweepSchema.parse(document.content)
    return segments.some((id) => index.has(Buffer.from(id, 'hex')))
  } catch {
    return true
  }
}
