import {
  type Config,
  groupOf,
  leavesOut,
  memberOf,
  type Source,
  type SourceGroup,
} from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { listDatabases } from '@securyflex/shared/postgres'
import { listSources } from '@securyflex/shared/repository'
import { openRepositories } from './repositories.ts'

/** What a name on the command line stands for: a source, a group of them, or one of a group's databases. */
export interface Wanted {
  readonly name: string
  /** Of one of a group's databases. */
  readonly database?: string
  readonly settings: Source | SourceGroup
  /** What it is configured as: the name of a source or a group. */
  readonly configured: string
}

/**
 * What is to be backed up. A database of a group is looked up on its server, so that a misspelt name is noticed here.
 * @param all every source and group, where no name is given
 * @throws CONFIG_INVALID without any source, USAGE where a name is needed, SOURCE_UNKNOWN, DATABASE_UNREACHABLE,
 *   DATABASE_REFUSED
 */
export async function wantedOf(config: Config, name: string | undefined, all = false): Promise<Wanted[]> {
  const configured = [...config.sources, ...config.groups]
  const [first, another] = configured
  if (first === undefined) {
    throw new BackupError('CONFIG_INVALID', 'There is no database to back up.', {
      hint: 'Set for example DATABASE_URL=postgresql://backup@db.example.com:5432/shop.',
    })
  }
  if (name !== undefined && all) {
    throw new BackupError('USAGE', `Both “${name}” and --all are asked for.`, {
      hint: 'Leave one of them out.',
    })
  }
  if (name === undefined && another !== undefined && !all) {
    throw new BackupError('USAGE', 'There are several sources, and it is not said which one is meant.', {
      hint: `Add one of: ${configured.map((one) => one.name).join(', ')}; or --all with backup.`,
    })
  }
  const meant = name === undefined ? configured : configured.filter((one) => one.name === name)
  if (meant.length > 0) return meant.map((one) => ({ name: one.name, settings: one, configured: one.name }))
  const group = groupOf(config, name ?? '')
  if (name === undefined || group === undefined) throw await unknown(config, name ?? '')
  return [await memberCalled(group, name)]
}

/** The one that is meant. @throws as `wantedOf` does */
export async function oneWanted(config: Config, name: string | undefined): Promise<Wanted> {
  const [wanted] = await wantedOf(config, name)
  if (wanted === undefined) throw new BackupError('INTERNAL', 'Nothing is wanted, and nobody said so.')
  return wanted
}

async function memberCalled(group: SourceGroup, name: string): Promise<Wanted> {
  const { open } = await listDatabases(group.connection)
  const members = open
    .filter((database) => !leavesOut(group, database))
    .map((database) => memberOf(group, database))
  const member = members.find((one) => one.name === name)
  if (member === undefined) {
    const names = members.map((one) => one.name).join(', ')
    throw new BackupError('SOURCE_UNKNOWN', `${group.name} has no database that is called “${name}”.`, {
      hint: names === '' ? 'All of its databases are left out.' : `Write one of: ${names}.`,
    })
  }
  const { database } = member.connection
  return { name, database, settings: member, configured: group.name }
}

/** Says what there is, databases of groups that have been backed up among it. */
async function unknown(config: Config, name: string): Promise<BackupError> {
  const stored = await Promise.all(openRepositories(config).map(listSources))
  const members = new Set(stored.flat().filter((one) => groupOf(config, one) !== undefined))
  const known = [...config.sources, ...config.groups].map((one) => one.name)
  return new BackupError('SOURCE_UNKNOWN', `There is no source “${name}”.`, {
    hint: `Write one of: ${[...known, ...[...members].sort()].join(', ')}.`,
  })
}
