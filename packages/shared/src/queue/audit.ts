import type { Redis } from 'ioredis'
import { prefix } from './names.ts'

/** Where what people and schedules did is written, oldest first; the producer copies it into the log. */
export const auditKey = `${prefix}:audit`
/** As many are kept, more or less. */
const keep = 1000

/** What can be done to a source or a run. */
type ActionKind =
  | 'pause'
  | 'resume'
  | 'cancel'
  | 'retry'
  | 'promote'
  | 'change'
  | 'skip'
  | 'refuse'
  | 'rebuild'
  | 'keep'
  | 'release'
  | 'prune'
  | 'adopt'

/** Who did what. */
export interface Action {
  /** `command line (anna)`, `API (10.0.0.7)`, `dashboard (10.0.0.7)`, `schedule`. */
  readonly by: string
  readonly what: ActionKind
  /** The source, the run, the backup or the destination; `everything`. */
  readonly subject: string
  /** A sentence that says more. */
  readonly detail?: string
}

export interface RecordedAction extends Action {
  /** UTC. */
  readonly at: string
}

/** Writes down what was done. */
export async function recordAction(redis: Redis, { by, what, subject, detail }: Action): Promise<void> {
  const fields = [
    'by',
    by,
    'what',
    what,
    'subject',
    subject,
    ...(detail === undefined ? [] : ['detail', detail]),
  ]
  await redis.xadd(auditKey, 'MAXLEN', '~', keep, '*', ...fields)
}

/** The newest actions first. */
export async function recentActions(redis: Redis, count: number): Promise<RecordedAction[]> {
  const entries = await redis.xrevrange(auditKey, '+', '-', 'COUNT', count)
  return entries.map(([id, fields]) => readAction(id, fields))
}

/** An entry of the stream. */
export function readAction(id: string, fields: readonly string[]): RecordedAction {
  const said = fieldsOf(fields)
  const detail = said['detail']
  return {
    at: timeOfEntry(id).toISOString(),
    by: said['by'] ?? '',
    what: (said['what'] ?? 'refuse') as ActionKind,
    subject: said['subject'] ?? '',
    ...(detail === undefined ? {} : { detail }),
  }
}

const done: Record<ActionKind, string> = {
  pause: 'paused',
  resume: 'resumed',
  cancel: 'cancelled',
  retry: 'retried',
  promote: 'tried at once',
  change: 'changed',
  skip: 'skipped',
  refuse: 'refused',
  rebuild: 'rebuilt',
  keep: 'kept',
  release: 'released',
  prune: 'pruned',
  adopt: 'adopted',
}

/** `paused shop (command line (anna))`, for terminals, logs and pages: one line, whatever programs wrote into it. */
export function describeAction({ by, what, subject, detail }: Action): string {
  const said = `${done[what]} ${subject} (${by})${detail === undefined ? '' : `: ${detail}`}`
  return said.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�')
}

/** Name and value in turn, as streams have them. */
export function fieldsOf(fields: readonly string[]): Readonly<Record<string, string>> {
  const names = fields.filter((_, index) => index % 2 === 0)
  return Object.fromEntries(names.map((name, index) => [name, fields[2 * index + 1] ?? '']))
}

/** The last moment that a date can be, in ms. */
const endOfTime = 8.64e15

/** An entry's id begins with the milliseconds at which Redis took it, unless whoever added it chose another number. */
export function timeOfEntry(id: string): Date {
  return new Date(Math.min(Number(id.split('-')[0]), endOfTime))
}
