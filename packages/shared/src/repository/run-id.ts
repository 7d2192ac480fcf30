import { randomInt } from 'node:crypto'
import { BackupError } from '@securyflex/shared/errors'

/**
 * `<source>.<UTC time>.<4 hex>`, the first three digits being the milliseconds, so that ids of one source sort
 * by age; docs/format.md, "Objects".
 */
export function newRunId(source: string, time: Date): string {
  const second = time.toISOString().replace(/[-:]|\.\d+/g, '')
  const millisecond = time.getUTCMilliseconds().toString(16).padStart(3, '0')
  return `${source}.${second}.${millisecond}${randomInt(16).toString(16)}`
}

const runIdPattern = /^([A-Za-z0-9_-]{1,64})\.(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.[0-9a-f]{4}$/

/** Source and time of a run id; undefined if it is none. */
export function parseRunId(id: string): { source: string; time: Date } | undefined {
  const match = runIdPattern.exec(id)
  if (match === null) return undefined
  const [, source, year, month, day, hour, minute, second] = match
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return source === undefined || Number.isNaN(time.getTime()) ? undefined : { source, time }
}

/** When the run of this id was asked for. @throws BACKUP_NOT_FOUND if it is no run id */
export function timeOfRun(id: string): Date {
  const parsed = parseRunId(id)
  if (parsed !== undefined) return parsed.time
  throw new BackupError('BACKUP_NOT_FOUND', `“${id}” is not the id of a run.`, {
    hint: 'Run ids look like shop.20261123T020000Z.3fa2; see them with: npx --no securyflex-backup list',
  })
}
