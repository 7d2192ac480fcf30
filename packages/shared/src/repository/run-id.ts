import { createHash, randomBytes } from 'node:crypto'
import { BackupError } from '@securyflex/shared/errors'

/** `<source>.<UTC time>.<4 hex>`; docs/format.md, "Objects". */
export function newRunId(source: string, time: Date): string {
  return runIdOf(source, time, randomBytes(2).toString('hex'))
}

/** The run of a schedule's slot: always the same id, so that asking twice is harmless. */
export function slotRunId(source: string, slot: Date): string {
  const digest = createHash('sha256').update(`${source} ${slot.toISOString()}`).digest('hex')
  return runIdOf(source, slot, digest.slice(0, 4))
}

function runIdOf(source: string, time: Date, suffix: string): string {
  return `${source}.${time.toISOString().replace(/[-:]|\.\d+/g, '')}.${suffix}`
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
