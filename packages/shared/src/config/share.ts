import { BackupError } from '@securyflex/shared/errors'
import { Wrong } from './wrong.ts'

/** A part of all: `1/30`, `10%` or `all`, as a number above 0 and at most 1. */
export function share(text: string): number {
  if (text.toLowerCase() === 'all') return 1
  const fraction = /^(\d{1,9})\s*\/\s*(\d{1,9})$/.exec(text)
  const percent = /^(\d{1,3}(?:\.\d{1,6})?)\s*%$/.exec(text)
  const part = fraction === null ? Number(percent?.[1]) / 100 : Number(fraction[1]) / Number(fraction[2])
  if (part > 0 && part <= 1) return part
  throw new Wrong(`“${text}” is no part of all: a fraction such as 1/30, a percentage such as 10%, or all`)
}

/** The same in words that {@link share} reads. */
export function shownShare(part: number): string {
  if (part === 1) return 'all'
  const times = Math.round(1 / part)
  if (Math.abs(times * part - 1) < 1e-9) return `1/${String(times)}`
  return `${String(Number((part * 100).toFixed(4)))}%`
}

/** {@link share} for a command's option. @throws USAGE */
export function readShare(text: string): number {
  try {
    return share(text.trim())
  } catch (error) {
    if (!(error instanceof Wrong)) throw error
    throw new BackupError('USAGE', `${error.message}.`, { hint: 'Write for example --share 1/30.' })
  }
}
