import { usualLevels } from './compression.ts'
import type { SourceSettings } from './config.ts'
import { retentionRules } from './retention.ts'
import { shownShare } from './share.ts'
import type { VariableName } from './variables.ts'

/** What is said of a setting of sources where it is documented and where it is shown. */
export interface Setting {
  /** In the file: `retention.days`. */
  readonly path: string
  /** Those that say it for every source; the file comes before them. */
  readonly variables: readonly VariableName[]
  /** Where nobody says it, in the words of the documentation. */
  readonly builtIn: string
  /** What it came to. */
  readonly shown: (settings: SourceSettings) => string
}

const none = 'none'
const listed = (names: readonly string[], otherwise = none) =>
  names.length === 0 ? otherwise : names.join(', ')

/** Every setting of a source that inherits: source, defaults, environment, built in. */
export const settingTable: readonly Setting[] = [
  {
    path: 'schedule',
    variables: ['BACKUP_CRON'],
    builtIn: '0 2 * * *',
    shown: ({ schedules }) => listed(schedules.map(({ cron }) => cron)),
  },
  {
    path: 'timeZone',
    variables: ['BACKUP_TIMEZONE'],
    builtIn: 'Europe/Amsterdam',
    shown: ({ timeZone }) => timeZone,
  },
  { path: 'spreadMinutes', variables: [], builtIn: '0', shown: (one) => String(one.spreadMinutes) },
  { path: 'latenessHours', variables: [], builtIn: '24', shown: (one) => String(one.latenessHours) },
  { path: 'overlap', variables: [], builtIn: 'skip', shown: ({ overlap }) => overlap },
  ...retentionRules.map((rule) => ({
    path: `retention.${rule}`,
    variables: [`BACKUP_RETENTION_${rule.toUpperCase()}` as VariableName],
    builtIn: rule === 'days' ? '30, if no other rule is named' : none,
    shown: ({ retention }: SourceSettings) => String(retention[rule] ?? none),
  })),
  {
    path: 'retention.minimum',
    variables: ['BACKUP_RETENTION_MINIMUM'],
    builtIn: '3',
    shown: ({ retention }) => String(retention.minimum),
  },
  {
    path: 'scrub.schedule',
    variables: ['BACKUP_SCRUB_CRON'],
    builtIn: '0 4 * * *',
    shown: ({ scrub }) => listed(scrub.schedules.map(({ cron }) => cron)),
  },
  {
    path: 'scrub.share',
    variables: ['BACKUP_SCRUB_SHARE'],
    builtIn: '1/30',
    shown: ({ scrub }) => shownShare(scrub.share),
  },
  {
    path: 'compression.algorithm',
    variables: ['BACKUP_COMPRESSION_ALGORITHM', 'BACKUP_COMPRESSION'],
    builtIn: 'zstd',
    shown: ({ compression }) => compression.algorithm,
  },
  {
    path: 'compression.level',
    variables: ['BACKUP_COMPRESSION_LEVEL'],
    builtIn: usualLevels,
    shown: ({ compression }) => String(compression.level),
  },
  {
    path: 'encryption',
    variables: ['BACKUP_ENCRYPTION', 'BACKUP_ENCRYPTION_ALGORITHM'],
    builtIn: none,
    shown: ({ cipher }) => cipher,
  },
  {
    path: 'fingerprint',
    variables: ['BACKUP_FINGERPRINT'],
    builtIn: 'counts',
    shown: ({ fingerprint }) => fingerprint,
  },
  {
    path: 'destinations',
    variables: [],
    builtIn: 'all',
    shown: ({ destinations }) => listed(destinations),
  },
  {
    path: 'notify',
    variables: [],
    builtIn: 'log, and webhook where there is one',
    shown: ({ channels }) => listed(channels),
  },
  {
    path: 'include.schemas',
    variables: [],
    builtIn: 'all',
    shown: ({ selection }) => listed(selection.schemas, 'all'),
  },
  {
    path: 'include.tables',
    variables: [],
    builtIn: 'all',
    shown: ({ selection }) => listed(selection.tables, 'all'),
  },
  {
    path: 'exclude.schemas',
    variables: [],
    builtIn: none,
    shown: ({ selection }) => listed(selection.withoutSchemas),
  },
  {
    path: 'exclude.tables',
    variables: [],
    builtIn: none,
    shown: ({ selection }) => listed(selection.withoutTables),
  },
  {
    path: 'exclude.tableData',
    variables: [],
    builtIn: none,
    shown: ({ selection }) => listed(selection.withoutTableData),
  },
]
