import { BackupError } from '@securyflex/shared/errors'
import type { Config, Source, SourceSettings } from './config.ts'

/**
 * The source of that name, or the first one.
 * @throws BackupError CONFIG_INVALID without any source, SOURCE_UNKNOWN with the list of those there are
 */
export function requireSource(config: Pick<Config, 'sources'>, name?: string): Source {
  const [first] = config.sources
  if (first === undefined) {
    throw new BackupError('CONFIG_INVALID', 'There is no database to back up.', {
      hint: 'Set for example DATABASE_URL=postgresql://backup@db.example.com:5432/shop.',
    })
  }
  const wanted = name === undefined ? first : config.sources.find((source) => source.name === name)
  if (wanted !== undefined) return wanted
  throw new BackupError('SOURCE_UNKNOWN', `There is no source “${name ?? ''}”.`, {
    hint: `Write one of: ${config.sources.map((source) => source.name).join(', ')}.`,
  })
}

/** What holds for a source: its own settings, those of its group, or the defaults for one that is configured no longer. */
export function settingsOf(
  { sources, groups, defaults }: Pick<Config, 'sources' | 'groups' | 'defaults'>,
  name: string,
): SourceSettings {
  const own = sources.find((source) => source.name === name)
  return own ?? groups.find((group) => name.startsWith(`${group.name}-`)) ?? defaults
}
