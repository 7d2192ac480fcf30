import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { BackupError, systemCode } from '@securyflex/shared/errors'
import { stringify } from 'yaml'
import type { Config, Source } from '../config.ts'
import { parseConnection } from '../connection/parse.ts'
import { readDotenv, readEnvironment } from '../environment.ts'
import { longestGroupName } from '../group.ts'
import { load, loadConfig, type Texts } from '../load.ts'
import { sourceName } from '../sources.ts'
import { usualFile } from './read.ts'
import { type Entry, withEntry } from './edit.ts'
import { separateSecrets, withVariables } from './separate.ts'

/** Something to add to a configuration: tried and valid as a whole, and not written yet. */
export interface Addition {
  readonly name: string
  /** Absolute paths, without symbolic links: replacing one would cut it. */
  readonly paths: Texts
  readonly before: Texts
  readonly after: Texts
  /** Variables that come to `.env`. */
  readonly variables: readonly string[]
  /** The configuration as it is, and as it will be. */
  readonly config: Config
  readonly added: Config
}

/** Where the configuration is. */
export interface Whereabouts {
  /** Default: the environment of the process. */
  readonly env?: NodeJS.ProcessEnv
  /** Default: the working directory. */
  readonly directory?: string
}

export interface NewSource {
  readonly url: string
  /** Default: the database's name; that of the host for all of its databases. */
  readonly name?: string | undefined
  /** Every database of the server; a database `*` in the connection string means the same. */
  readonly all?: boolean | undefined
  /** What it says of itself, as the file has it. */
  readonly settings: Entry
}

/** Of a connection string that names every database, the part that does. */
const everyDatabase = /(?<=^postgres(?:ql)?:\/\/[^/?]*\/)\*(?=\?|$)/
/** Where a server is asked which databases it has; every cluster has it. */
const maintenance = 'postgres'

/**
 * Adds a database, or all of a server: secrets to `.env`, the rest to the configuration file, which is made if there
 * is none.
 * @throws CONFIG_INVALID for what is wrong or there already
 */
export function planSource(wanted: NewSource, where: Whereabouts = {}): Addition {
  const { name, settings } = wanted
  const all = wanted.all === true || everyDatabase.test(wanted.url)
  const url = wanted.url.replace(everyDatabase, maintenance)
  const { env, directory, paths, before } = look(where)
  const config = loadConfig({ env, directory, needs: [], texts: before })
  const environment = readEnvironment(env, readDotenv(directory, []))
  const { connection } = parseConnection(url, environment)
  const chosen = name ?? (all ? groupName(connection) : sourceName(connection.database))
  refuseTwin(config, chosen, connection, all)
  const { text, secrets } = separateSecrets(url, (what) => freeVariable(chosen, what, environment))
  const after = {
    file: withEntry(before.file === '' ? opening(paths.file) : before.file, 'sources', chosen, {
      url: text,
      ...(all ? { database: '*' } : {}),
      ...settings,
    }),
    dotenv: Object.keys(secrets).length === 0 ? before.dotenv : withVariables(before.dotenv, secrets),
  }
  const added = loadConfig({ env, directory, needs: [], texts: after })
  return { name: chosen, paths, before, after, variables: Object.keys(secrets), config, added }
}

/** What a new installation is to be. */
export interface NewInstallation extends NewSource {
  /** `BACKUP_DIR`. */
  readonly home: string
  /** What is written for every source. */
  readonly defaults: Entry
  /** `BACKUP_ENCRYPTION_KEY`; undefined where it is set already, or nothing is encrypted. */
  readonly key: string | undefined
}

/**
 * The first configuration.
 * @throws CONFIG_INVALID if there is one already
 */
export function planInstallation(
  { home, defaults, key, ...source }: NewInstallation,
  where: Whereabouts = {},
): Addition {
  const { env, directory, paths, before } = look(where, false)
  for (const path of [paths.file, paths.dotenv]) {
    if (!existsSync(path)) continue
    throw new BackupError('CONFIG_INVALID', `There is a configuration already: ${path}.`, {
      hint: 'Add a database to it with: npx --no securyflex-backup source add <url>',
    })
  }
  const environment = readEnvironment(env, readDotenv(directory, []))
  const { connection } = parseConnection(source.url, environment)
  const name = source.name ?? sourceName(connection.database)
  const { text, secrets } = separateSecrets(source.url, (what) => freeVariable(name, what, environment))
  const settings = Object.keys(defaults).length === 0 ? {} : { defaults }
  const variables = {
    BACKUP_DIR: home,
    ...(key === undefined ? {} : { BACKUP_ENCRYPTION_KEY: key }),
    ...secrets,
  }
  const after = {
    file: `${opening(paths.file)}${stringify({ ...settings, sources: { [name]: { url: text, ...source.settings } } }, { lineWidth: 0 })}`,
    dotenv: withVariables('', variables),
  }
  const needs = ['key'] as const
  const chosen = { ...env, BACKUP_CONFIG: paths.file }
  const config = loadConfig({ env: {}, directory, needs: [], texts: before })
  const added = loadConfig({ env: chosen, directory, needs, texts: after })
  return { name, paths, before, after, variables: Object.keys(variables), config, added }
}

/** Adds a place for backups. @throws CONFIG_INVALID for what is wrong or there already */
export function planDestination(name: string, settings: Entry, where: Whereabouts = {}): Addition {
  const { env, directory, paths, before } = look(where)
  const { config, values, file } = load({ env, directory, needs: [], texts: before })
  const first = before.file === '' ? opening(paths.file) : before.file
  // Where the file names none, backups go to BACKUP_DIR: they still do, beside the new place.
  const implied =
    values.BACKUP_LOCAL === undefined
      ? config.destinations.find(
          ({ kind, name: one }) => kind === 'local' && !file?.content.destinations?.[one],
        )
      : undefined
  const whole =
    implied?.kind === 'local'
      ? withEntry(first, 'destinations', implied.name, { kind: 'local', directory: implied.directory })
      : first
  const after = { file: withEntry(whole, 'destinations', name, settings), dotenv: before.dotenv }
  const added = loadConfig({ env, directory, needs: [], texts: after })
  return { name, paths, before, after, variables: [], config, added }
}

function look({ env = process.env, directory = process.cwd() }: Whereabouts, reading = true) {
  const dotenv = real(join(directory, '.env'))
  const named = readEnvironment(env, readDotenv(directory, []))['BACKUP_CONFIG']
  const file = real(resolve(directory, named ?? usualFile))
  const paths: Texts = { file, dotenv }
  const before: Texts = reading ? { file: textOf(file), dotenv: textOf(dotenv) } : { file: '', dotenv: '' }
  return { env, directory, paths, before }
}

const real = (path: string) => (existsSync(path) ? realpathSync(path) : path)

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return ''
    throw new BackupError(
      'CONFIG_INVALID',
      `${path} cannot be read (${systemCode(error) ?? String(error)}).`,
      {
        hint: 'Correct the permissions of the file.',
        cause: error,
      },
    )
  }
}

const schemaFile = resolve(import.meta.dirname, '../../../../../docs/backup.config.schema.json')

/** The first line of a file that is made: editors with the YAML language server offer and check what may follow. */
function opening(file: string): string {
  const beside = join(file, '..', 'docs', 'backup.config.schema.json') === schemaFile
  return `# yaml-language-server: $schema=${beside ? 'docs/backup.config.schema.json' : schemaFile}\n`
}

function refuseTwin(config: Config, name: string, connection: Source['connection'], all: boolean): void {
  const known = [...config.sources, ...config.groups]
  if (known.some((one) => one.name === name)) {
    throw new BackupError('CONFIG_INVALID', `There is a source “${name}” already.`, {
      hint: `Give this one another name: --name ${name}-2`,
    })
  }
  const place = ({ hosts, database }: Source['connection']) =>
    JSON.stringify(all ? [hosts] : [hosts, database])
  const twin = (all ? config.groups : config.sources).find(
    (one) => place(one.connection) === place(connection),
  )
  if (twin === undefined) return
  const what = all ? 'Every database of that server is backed up' : 'That database is a source'
  throw new BackupError('CONFIG_INVALID', `${what} already: “${twin.name}”.`, {
    hint: 'To give it more than one schedule, list them: schedule: ["0 2 * * *", "0 14 * * *"].',
  })
}

/** The first part of the host's name: names of its databases begin with it. */
function groupName({ hosts }: Source['connection']): string {
  const host = hosts[0]?.host ?? ''
  const part = /^[\d.:]+$|^\//.test(host) ? 'server' : (host.split('.')[0] ?? host)
  return sourceName(part).slice(0, longestGroupName)
}

/** `SOURCE_SHOP_PASSWORD`, or one more where that is taken. */
function freeVariable(source: string, what: string, environment: Readonly<Record<string, string>>): string {
  const base = `SOURCE_${source}_${what}`.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}_${String(number)}`
    if (environment[name] === undefined && environment[`${name}_FILE`] === undefined) return name
  }
}
