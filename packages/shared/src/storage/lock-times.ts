import type { ObjectLock } from '@securyflex/shared/config'

const day = 24 * 60 * 60 * 1000

/**
 * For how long an object is locked when it is stored or its lock is renewed: the days that are asked for, and a quarter
 * more, at least a week, which spares requests: what every night's backup names is renewed once in that time, not
 * every night. Both in ms.
 */
export function lockTimes({ days }: Pick<ObjectLock, 'days'>): {
  readonly lasts: number
  readonly spare: number
} {
  const spare = Math.max(7 * day, Math.ceil((days * day) / 4))
  return { lasts: days * day + spare, spare }
}
