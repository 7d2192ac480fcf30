import { BackupError } from '@securyflex/shared/errors'
import type { Redis } from 'ioredis'
import { recordAction } from './audit.ts'
import { prefix } from './names.ts'

/** Source (or `<group>-*`, or `*` for everything) → who paused it, and when. */
const key = `${prefix}:paused`

/** Names every source. */
export const everything = '*'

/** Who paused what. */
export interface Pause {
  /** A source; `<group>-*` for all of a group; {@link everything}. */
  readonly subject: string
  readonly by: string
  /** UTC. */
  readonly at: string
}

/**
 * Asks for no more backups of `subject` until it is resumed. What was accepted before goes on. Kept in Redis, where
 * every process sees it at once; a Redis that loses its data forgets it, and then backups are made.
 * @returns false if it was paused already
 */
export async function pause(redis: Redis, subject: string, by: string, now: Date): Promise<boolean> {
  const set = await redis.hsetnx(key, subject, JSON.stringify({ by, at: now.toISOString() }))
  if (set === 1) await recordAction(redis, { by, what: 'pause', subject: shownSubject(subject) })
  return set === 1
}

/** Takes a pause away. @returns false if there was none of that name */
export async function resume(redis: Redis, subject: string, by: string): Promise<boolean> {
  const removed = await redis.hdel(key, subject)
  if (removed === 1) await recordAction(redis, { by, what: 'resume', subject: shownSubject(subject) })
  return removed === 1
}

/** Every pause, by name. */
export async function listPauses(redis: Redis): Promise<Pause[]> {
  const kept = await redis.hgetall(key)
  return Object.entries(kept)
    .map(([subject, said]) => ({ subject, ...(JSON.parse(said) as { by: string; at: string }) }))
    .sort((one, other) => one.subject.localeCompare(other.subject))
}

/** The pause that holds for a source: its own, its group's, or everything's. */
export async function pauseOf(redis: Redis, source: string): Promise<Pause | undefined> {
  return holdsFor(await listPauses(redis), source)
}

/** The one of these pauses that holds for a source. */
export function holdsFor(pauses: readonly Pause[], source: string): Pause | undefined {
  return pauses.find(({ subject }) => {
    if (subject === everything || subject === source) return true
    return subject.endsWith('-*') && `${source}-`.startsWith(subject.slice(0, -1))
  })
}

/** `everything` for `*`. */
export function shownSubject(subject: string): string {
  return subject === everything ? 'everything' : subject
}

/** What whoever asks for a backup of a paused source is told. */
export function pausedError(source: string, { subject, by, at }: Pause): BackupError {
  const what = subject === source ? source : `${shownSubject(subject)} (and ${source} with it)`
  const line = subject === everything ? '' : ` ${subject.replace(/-\*$/, '')}`
  return new BackupError('SOURCE_PAUSED', `Backups of ${what} are paused since ${at} by ${by}.`, {
    hint: `To have them made again, type: npx --no securyflex-backup resume${line}`,
  })
}
