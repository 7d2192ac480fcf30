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
  readonly #since = { steady: performance.now(), date: Date.now() }

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

  /**
   * Whether nothing may be removed on this word any more: the next prune says it again. One clock may be set back; the
   * other one stands still while the machine sleeps.
   */
  get isLate(): boolean {
    const { steady, date } = this.#since
    return Math.max(performance.now() - steady, Date.now() - date) > longestSweep
  }

  async takeBack(removal: Removal): Promise<void> {
    await removal.forget({ key: this.#name })
  }

  /** Removes the words of those who were killed. */
  static async forgetOld(storage: Storage, source: string, removal: Removal): Promise<void> {
    for (const key of (await listSweeps(storage, source)).old) await removal.forget({ key })
  }
}

/** How {@link outlastSweeps} waits. */
export interface Waiting {
  readonly signal: AbortSignal
  /** For so many ms; tests give their own. */
  readonly wait?: ((ms: number) => Promise<unknown>) | undefined
  /** Told once what is waited for. */
  readonly onWait?: ((name: string) => void) | undefined
}

/**
 * Waits until nobody removes anything of what a backup names, which is sealed by now.
 * @throws STALLED where that takes longer than any removal
 */
export async function outlastSweeps(
  storage: Storage,
  source: string,
  index: SegmentIndex,
  { signal, wait = (ms) => delay(ms, undefined, { signal }), onWait }: Waiting,
): Promise<void> {
  for (let waited = 0; ; waited += pause) {
    signal.throwIfAborted()
    const name = await findSweep(storage, source, index)
    if (name === undefined) return
    if (waited === 0) onWait?.(name)
    if (waited > 2 * over) throw endless(storage, name)
    await wait(pause)
  }
}

function endless(storage: Storage, name: string): BackupError {
  return new BackupError(
    'STALLED',
    `${name} at ${storage.shown} says for hours that a prune goes on there.`,
    {
      hint: 'If no prune is running, remove that object: it is a note, and holds nothing of a backup.',
    },
  )
}

/** The name of a sweep that goes on and removes something of `index`. */
async function findSweep(storage: Storage, source: string, index: SegmentIndex): Promise<string | undefined> {
  for (const name of (await listSweeps(storage, source)).young) {
    const bytes = await storage.get(name)
    if (bytes !== undefined && names(name, bytes, index)) return name
  }
  return undefined
}

async function listSweeps(storage: Storage, source: string): Promise<{ young: string[]; old: string[] }> {
  const found: { key: string; modified: Date }[] = []
  for await (const object of storage.list(layout.sweeps(source))) found.push(object)
  if (found.length === 0) return { young: [], old: [] }
  const now = (await storage.now()).getTime()
  // One of a time to come is of no prune that is going on, whatever clock it was written by.
  const isYoung = ({ modified }: { modified: Date }) => Math.abs(now - modified.getTime()) < over
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
