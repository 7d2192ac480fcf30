import { BackupError } from '@securyflex/shared/errors'
import type { Config, Source, SourceGroup, SourceSettings } from './config.ts'
import { databaseOf, groupOf, leavesOut, memberOf } from './group.ts'

type Sources = Pick<Config, 'sources' | 'groups'>

/**
 * The source of that name, or the first one. A group's database is one, too.
 * @param database of a group's source, where its name does not say it
 * @throws BackupError CONFIG_INVALID without any source, SOURCE_UNKNOWN with the list of those there are
 */
export function requireSource(config: Sources, name?: string, database?: string): Source {
  const [first] = config.sources
  if (first === undefined && config.groups.length === 0) {
    throw new BackupError('CONFIG_INVALID', 'There is no database to back up.', {
      hint: 'Set for example DATABASE_URL=postgresql://backup@db.example.com:5432/shop.',
    })
  }
  const wanted = name === undefined ? first : config.sources.find((source) => source.name === name)
  if (wanted !== undefined) return wanted
  const group = name === undefined ? undefined : groupOf(config, name)
  if (name === undefined || group === undefined) throw unknown(config, name)
  return requireMember(group, name, database ?? databaseOf(group, name))
}

function unknown({ sources, groups }: Sources, name: string | undefined): BackupError {
  const names = [...sources, ...groups].map((one) => one.name).join(', ')
  const what = name === undefined ? 'No single database is configured.' : `There is no source “${name}”.`
  return new BackupError('SOURCE_UNKNOWN', what, { hint: `Write one of: ${names}.` })
}

function requireMember(group: SourceGroup, name: string, database: string | undefined): Source {
  const member = database === undefined ? undefined : memberOf(group, database)
  if (member?.name !== name) {
    throw new BackupError('SOURCE_UNKNOWN', `“${name}” does not say which database of ${group.name} it is.`, {
      hint: `Ask for it from the command line, which looks it up: npx --no securyflex-backup enqueue-job ${name}`,
    })
  }
  if (!leavesOut(group, member.connection.database)) return member
  throw new BackupError(
    'SOURCE_UNKNOWN',
    `The database “${member.connection.database}” is left out of ${group.name}.`,
    { hint: `Change exclude.databases of ${group.name}, or describe it as a source of its own.` },
  )
}

/** The group of that name: every database of a server. */
export function findGroup({ groups }: Pick<Config, 'groups'>, name: string): SourceGroup | undefined {
  return groups.find((group) => group.name === name)
}

/** What holds for a source: its own settings, those of its group, or the defaults for one that is configured no longer. */
export function settingsOf(
  config: Pick<Config, 'sources' | 'groups' | 'defaults'>,
  name: string,
): SourceSettings {
  const own = config.sources.find((source) => source.name === name)
  return own ?? findGroup(config, name) ?? groupOf(config, name) ?? config.defaults
}
