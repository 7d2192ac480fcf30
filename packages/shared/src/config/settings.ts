import { compressionLevels } from './compression.ts'
import type { Cipher, Compression, Schedule, SourceSettings } from './config.ts'
import type { Destination } from './destinations/destination.ts'
import type { FileSettings } from './file/grammar.ts'
import { layeredRetention, retentionOf } from './retention.ts'
import type { Values } from './variables.ts'

/** What the environment says, and the built-in defaults beneath it. */
export function settingsOfEnvironment(values: Values, destinations: readonly Destination[]): SourceSettings {
  const timeZone = values.BACKUP_TIMEZONE
  return {
    schedules: values.BACKUP_SCHEDULE_ENABLED ? [{ cron: values.BACKUP_CRON, timeZone }] : [],
    timeZone,
    spreadMinutes: 0,
    latenessHours: 24,
    overlap: 'skip',
    retention: retentionOf(values),
    scrub: scrubbingOf(values),
    compression: compressionOf(values),
    cipher: cipherOf(values),
    fingerprint: values.BACKUP_FINGERPRINT,
    destinations: destinations.map(({ name }) => name),
    channels: values.BACKUP_WEBHOOK_URL === undefined ? ['log'] : ['log', 'webhook'],
    selection: { schemas: [], tables: [], withoutSchemas: [], withoutTables: [], withoutTableData: [] },
  }
}

/** `over`, and what it leaves open from `under`. A schedule without a zone of its own is meant in the nearest one. */
export function layered(under: SourceSettings, over: FileSettings, enabled: boolean): SourceSettings {
  const timeZone = over.timeZone ?? under.timeZone
  const crons = over.schedule ?? under.schedules.map(({ cron }) => cron)
  const scrubs = over.scrub?.schedule ?? under.scrub.schedules.map(({ cron }) => cron)
  return {
    schedules: enabled ? crons.map((cron): Schedule => ({ cron, timeZone })) : [],
    timeZone,
    spreadMinutes: over.spreadMinutes ?? under.spreadMinutes,
    latenessHours: over.latenessHours ?? under.latenessHours,
    overlap: over.overlap ?? under.overlap,
    retention: layeredRetention(under.retention, over.retention),
    scrub: {
      schedules: enabled ? scrubs.map((cron) => ({ cron, timeZone })) : [],
      share: over.scrub?.share ?? under.scrub.share,
    },
    compression: layeredCompression(under.compression, over.compression),
    cipher: over.encryption ?? under.cipher,
    fingerprint: over.fingerprint ?? under.fingerprint,
    destinations: over.destinations ?? under.destinations,
    channels: over.notify ?? under.channels,
    selection: {
      schemas: over.include?.schemas ?? under.selection.schemas,
      tables: over.include?.tables ?? under.selection.tables,
      withoutSchemas: over.exclude?.schemas ?? under.selection.withoutSchemas,
      withoutTables: over.exclude?.tables ?? under.selection.withoutTables,
      withoutTableData: over.exclude?.tableData ?? under.selection.withoutTableData,
    },
  }
}

/** As `BACKUP_SCRUB_…` have it. Without a clock for backups there is none for scrubs. */
function scrubbingOf(values: Values): SourceSettings['scrub'] {
  const { BACKUP_SCRUB_CRON: cron, BACKUP_SCRUB_SHARE: share, BACKUP_TIMEZONE: timeZone } = values
  const isScheduled = values.BACKUP_SCHEDULE_ENABLED && cron !== 'off'
  return { schedules: isScheduled ? [{ cron, timeZone }] : [], share }
}

function layeredCompression(under: Compression, over: FileSettings['compression']): Compression {
  const algorithm = over?.algorithm ?? under.algorithm
  if (algorithm === 'none') return { algorithm, level: 0 }
  const inherited = algorithm === under.algorithm ? under.level : compressionLevels[algorithm].usual
  return { algorithm, level: over?.level ?? inherited }
}

/** As `BACKUP_COMPRESSION…` have it. */
export function compressionOf(values: Values): Compression {
  const algorithm = values.BACKUP_COMPRESSION ? values.BACKUP_COMPRESSION_ALGORITHM : 'none'
  if (algorithm === 'none') return { algorithm, level: 0 }
  return { algorithm, level: values.BACKUP_COMPRESSION_LEVEL ?? compressionLevels[algorithm].usual }
}

/** As `BACKUP_ENCRYPTION…` have it. */
export function cipherOf(values: Values): Cipher {
  return values.BACKUP_ENCRYPTION === true ? values.BACKUP_ENCRYPTION_ALGORITHM : 'none'
}
