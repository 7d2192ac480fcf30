import { BackupError } from '@securyflex/shared/errors'
import { compressionLevels } from './compression.ts'
import type { Config, Source, SourceGroup, SourceSettings } from './config.ts'
import type { Connection } from './connection/connection.ts'
import { parseConnection } from './connection/parse.ts'
import type { Destination } from './destinations/destination.ts'
import type { Environment } from './environment.ts'
import type { FileSettings, FileSource } from './file/grammar.ts'
import type { ConfigurationFile } from './file/read.ts'
import { longestGroupName } from './group.ts'
import { nearest } from './nearest.ts'
import type { Problem } from './problem.ts'
import { layered } from './settings.ts'
import { type Values, variables } from './variables.ts'

/** Where sources are looked for. */
export interface Places {
  readonly values: Values
  readonly environment: Environment
  readonly file: ConfigurationFile | undefined
  readonly destinations: readonly Destination[]
  /** What the environment says of every source. */
  readonly defaults: SourceSettings
}

/** What was found. */
export type Found = Pick<Config, 'sources' | 'groups' | 'defaults' | 'limits' | 'warnings'>

/**
 * The source that `DATABASE_URL` describes, and those of the file. What a source of the file says of itself comes
 * first, then the file's `defaults`, then the environment, then what is built in.
 */
export function findSources(places: Places, problems: Problem[]): Found {
  const { values, file } = places
  const defaults =
    file?.content.defaults === undefined
      ? places.defaults
      : settingsAt(file, ['defaults'], places.defaults, file.content.defaults, places)
  const found: { sources: Source[]; groups: SourceGroup[]; warnings: string[] } = {
    sources: [],
    groups: [],
    warnings: [],
  }
  if (values.DATABASE_URL !== undefined)
    found.sources.push(...ofEnvironment(places, defaults, found.warnings, problems))
  for (const [name, said] of Object.entries(file?.content.sources ?? {})) {
    const one = file && ofFile(places, file, name, said, defaults, found.warnings)
    if (one === undefined) continue
    if ('withoutDatabases' in one) found.groups.push(one)
    else found.sources.push(one)
  }
  refuseTwins(found, file)
  if (file !== undefined) refuseGroupNames(found, file)
  if (file !== undefined) refuseUnknownNames(places, file)
  return { ...found, defaults, limits: limitsOf(file) }
}

function ofEnvironment(
  { values, environment }: Places,
  defaults: SourceSettings,
  warnings: string[],
  problems: Problem[],
): Source[] {
  try {
    const { connection, notices } = parseConnection(values.DATABASE_URL?.reveal() ?? '', environment)
    const name = values.BACKUP_SOURCE ?? sourceName(connection.database)
    warnings.push(...notices.map((notice) => `DATABASE_URL: ${notice}`))
    return [{ ...defaults, name, connection, server: serverOf(connection) }]
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const remedy = error.hint ?? `Write for example DATABASE_URL=${variables.DATABASE_URL.example}.`
    problems.push({ variable: 'DATABASE_URL', what: error.message, remedy, code: error.code })
    return []
  }
}

function ofFile(
  places: Places,
  file: ConfigurationFile,
  name: string,
  said: FileSource,
  defaults: SourceSettings,
  warnings: string[],
): Source | SourceGroup | undefined {
  const way = ['sources', name]
  const settings = settingsAt(file, way, defaults, said, places)
  const url = connectionText(file, way, said)
  if (url === undefined) return undefined
  try {
    const database = said.database === '*' ? undefined : said.database
    const { connection, notices, passwords } = parseConnection(url, places.environment, database)
    warnings.push(...notices.map((notice) => `${way.join('.')}: ${notice}`))
    const server = said.server ?? serverOf(connection)
    if (said.database !== '*') return { ...settings, name, connection, server }
    const withoutDatabases = said.exclude?.databases ?? []
    const group = { ...settings, name, connection, server, withoutDatabases }
    return passwords === undefined ? group : { ...group, passwords }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const remedy = error.hint ?? `Write for example ${variables.DATABASE_URL.example}.`
    file.refuse([...way, said.url === undefined ? 'server' : 'url'], error.message, remedy, error.code)
    return undefined
  }
}

/** What is said at `way` over what is `under` it. A level that its algorithm has not is refused there. */
function settingsAt(
  file: ConfigurationFile,
  way: readonly string[],
  under: SourceSettings,
  said: FileSettings,
  { values }: Places,
): SourceSettings {
  const settings = layered(under, said, values.BACKUP_SCHEDULE_ENABLED)
  const { algorithm, level } = settings.compression
  const { usual, highest } = compressionLevels[algorithm]
  if (said.compression?.level !== undefined && level > highest) {
    const what = `${algorithm}’s levels are 1 to ${highest}`
    file.refuse([...way, 'compression', 'level'], what, `Write for example level: ${usual}.`)
  }
  return settings
}

/** The source's own connection string, or that of its server. */
function connectionText(
  file: ConfigurationFile,
  way: readonly string[],
  said: FileSource,
): string | undefined {
  const servers = file.content.servers ?? {}
  if (said.url !== undefined && said.server === undefined) return said.url
  if (said.url !== undefined) {
    file.refuse(
      [...way, 'server'],
      'it has a url already',
      'Remove one of the two: url, or server and database.',
    )
  } else if (said.server === undefined) {
    file.refuse(
      way,
      'it says nothing of where the database is',
      'Write url, or server and database, below it.',
    )
  } else if (said.database === undefined) {
    file.refuse(
      way,
      'it does not say which database of the server',
      'Write database: and its name, or "*" for all, below it.',
    )
  } else if (!Object.hasOwn(servers, said.server)) {
    const names = Object.keys(servers)
    const remedy =
      names.length === 0 ? 'Describe it under servers.' : `The nearest is ${nearest(said.server, names)}.`
    file.refuse([...way, 'server'], `there is no server “${said.server}”`, remedy)
  } else return servers[said.server]?.url
  return undefined
}

function refuseTwins(found: Pick<Found, 'sources' | 'groups'>, file: ConfigurationFile | undefined): void {
  const names = [...found.sources, ...found.groups].map(({ name }) => name)
  for (const twin of new Set(names.filter((name, index) => names.indexOf(name) !== index))) {
    const remedy = 'Give one of them another name: BACKUP_SOURCE names that of DATABASE_URL.'
    file?.refuse(['sources', twin], 'DATABASE_URL has a source of that name, too', remedy)
  }
}

/** What a group's databases are called begins with its name, and must not be what another source is called. */
function refuseGroupNames({ sources, groups }: Pick<Found, 'sources' | 'groups'>, file: ConfigurationFile) {
  for (const { name } of groups) {
    if (name.length > longestGroupName) {
      const what = `the name of a group has at most ${String(longestGroupName)} characters`
      file.refuse(['sources', name], what, 'Choose a shorter one: those of its databases begin with it.')
    }
    const other = [...sources, ...groups].find((one) => one.name.startsWith(`${name}-`))
    if (other === undefined) continue
    const what = `“${other.name}” begins with “${name}-”, as the names of its databases do`
    file.refuse(['sources', name], what, 'Give one of the two another name.')
  }
}

function refuseUnknownNames({ destinations, values }: Places, file: ConfigurationFile): void {
  const known = destinations.map(({ name }) => name)
  const places: [
    string[],
    { destinations?: string[] | undefined; notify?: string[] | undefined } | undefined,
  ][] = [
    [['defaults'], file.content.defaults],
    ...Object.entries(file.content.sources ?? {}).map(
      ([name, said]) => [['sources', name], said] as [string[], FileSource],
    ),
  ]
  for (const [way, said] of places) {
    if (said?.destinations?.length === 0) {
      file.refuse(
        [...way, 'destinations'],
        'it names no place to go to',
        `Write for example ${known[0] ?? 'local'}.`,
      )
    }
    for (const [index, wanted] of (said?.destinations ?? []).entries()) {
      if (known.includes(wanted)) continue
      const remedy = `Describe it under destinations; the nearest known is ${nearest(wanted, known)}.`
      file.refuse([...way, 'destinations', index], `there is no destination “${wanted}”`, remedy)
    }
    if (said?.notify?.includes('webhook') && values.BACKUP_WEBHOOK_URL === undefined) {
      file.refuse([...way, 'notify'], 'there is no webhook', 'Set BACKUP_WEBHOOK_URL.')
    }
  }
}

function limitsOf(file: ConfigurationFile | undefined): Config['limits'] {
  const servers = Object.entries(file?.content.servers ?? {}).flatMap(([name, { runs }]) =>
    runs === undefined ? [] : [[name, runs] as const],
  )
  return { servers: Object.fromEntries(servers), runs: file?.content.limits?.runs }
}

/** A database's name as a source's name. */
export function sourceName(database: string): string {
  return database.replaceAll(/[^A-Za-z0-9_-]/g, '-').slice(0, 64)
}

function serverOf({ hosts }: Connection): string {
  return hosts.map(({ host, port }) => `${host}:${String(port)}`).join(',')
}
