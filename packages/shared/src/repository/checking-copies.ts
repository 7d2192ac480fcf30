import { asBackupError } from '@securyflex/shared/errors'
import type { Storage } from '@securyflex/shared/storage'
import { readBackup } from './backups.ts'
import { checkBackup, type Checked, isOfSegment } from './checking.ts'
import type { Copying } from './copying.ts'
import { BackupReader } from './reading.ts'
import { readScrubRecord } from './scrub-record.ts'
import { scrubProblem } from './scrub-problem.ts'
import { scrub, type Scrubbed } from './scrubbing.ts'
import { shardOf } from './shards.ts'
import { noteChecked } from './unchecked.ts'

/** First lists may have to be healed; what they name is known only then. */
const mostHeals = 2

export interface CopyCheck extends Pick<
  Copying,
  'to' | 'source' | 'run' | 'keys' | 'installation' | 'now' | 'signal'
> {
  /** The source's other destinations, in the order in which they are asked for what is missing or bad. */
  readonly others: readonly Storage[]
  /** Told what a scrub found and did, where something was missing or bad. */
  readonly onScrubbed?: (scrubbed: Scrubbed) => void
  /** Waits so many ms for a sweep; tests give their own. */
  readonly wait?: (ms: number) => Promise<unknown>
}

/**
 * Reads back a whole backup that was brought to a place. Where something of it is missing or bad, these shards are scrubbed,
 * which heals it from another destination, or sets it aside and puts down which backups miss it; what was healed is
 * checked again. Only then does the backup count as good there.
 * @throws SEGMENT_MISSING and its like if it could not be healed: it is checked again by whoever comes next
 */
export async function checkCopy(options: CopyCheck): Promise<Checked> {
  const { source, run, keys, now, signal } = options
  const to = options.to.until(signal)
  const { unhealed } = await readScrubRecord(to, source, keys)
  // Whether that was mended meanwhile is known sooner by these shards than by all of the backup.
  if ([...unhealed.values()].flat().includes(run)) await heal(options, new Set())
  const checked = await checkOrHeal(options, to)
  await noteChecked(to, source, keys, run, now)
  return checked
}

async function checkOrHeal(options: CopyCheck, to: Storage): Promise<Checked> {
  for (let left = mostHeals; ; left--) {
    const bad = new Set<number>()
    try {
      return await readAll(options, to, bad)
    } catch (error) {
      options.signal.throwIfAborted()
      if (left === 0 || !isOfSegment(asBackupError(error))) throw error
      await heal(options, bad)
    }
  }
}

async function readAll(
  { source, run, keys, now, signal, wait }: CopyCheck,
  to: Storage,
  bad: Set<number>,
): Promise<Checked> {
  const reader = new BackupReader(to, await readBackup(to, source, run, keys))
  return checkBackup(to, reader, {
    ...{ predecessor: undefined, full: false, now, signal, ...(wait === undefined ? {} : { wait }) },
    onBad: ({ id }) => {
      bad.add(shardOf(id))
      return Promise.resolve()
    },
  })
}

/** @throws what could not be healed of the backup */
async function heal(options: CopyCheck, shards: ReadonlySet<number>): Promise<void> {
  const { to, others, source, run, keys, installation, now, signal } = options
  const scrubbed = await scrub({
    ...{ storage: to, others, source, keys, installation, share: shards, now, signal },
  })
  options.onScrubbed?.(scrubbed)
  const problem = scrubbed.unhealed.includes(run) ? scrubProblem(scrubbed, source, to.name) : undefined
  if (problem !== undefined) throw problem
}
