import { join, resolve } from 'node:path'
import { compressionLevels } from './compression.ts'
import type { Config, RequestedOptions, WorkerSettings } from './config.ts'
import type { Destination } from './destinations/destination.ts'
import { findDestinations } from './destinations/find.ts'
import {
  dotenvName,
  type Environment,
  findForeign,
  readDotenv,
  readEnvironment,
  readVariable,
} from './environment.ts'
import { type ConfigurationFile, readConfigurationFile } from './file/read.ts'
import { isLoopback } from './parsers.ts'
import { type Problem, problemsError } from './problem.ts'
import { cipherOf, compressionOf, settingsOfEnvironment } from './settings.ts'
import { findSources, type Found } from './sources.ts'
import { steps } from './steps.ts'
import type { Variable } from './variable.ts'
import { concurrencyVariable, type Values, type VariableName, variables } from './variables.ts'
import { Wrong } from './wrong.ts'

/**
 * What a command cannot do without: a database, a Redis, or the key where encryption is asked for. A
 * command that only asks others to seal, or that makes a key, does not need `key`.
 */
export type Need = 'source' | 'redis' | 'key'

export interface LoadOptions {
  /** Default: the environment of the process. */
  readonly env?: NodeJS.ProcessEnv
  /** Where `.env` is read and relative paths start; default: the working directory. */
  readonly directory?: string
  /** Default: `['key']`. */
  readonly needs?: readonly Need[]
  /** What is to be written, read in place of what is there. */
  readonly texts?: Texts
}

/** What stands in the two files of a configuration. */
export interface Texts {
  /** Of the configuration file. */
  readonly file: string
  /** Of `.env`. */
  readonly dotenv: string
}

/** A configuration, and what it was made of. */
export interface Loaded {
  readonly config: Config
  readonly values: Values
  readonly environment: Environment
  readonly file: ConfigurationFile | undefined
}

/** Bytes: four batches of the largest size (41 MiB), each reserving raw, packed and sealed. */
const spoolPerDump = 4 * 3 * 41 * 2 ** 20

/**
 * Reads the environment and `.env`, and validates all of it.
 * @throws BackupError CONFIG_INVALID that names every problem at once; KEY_WEAK or KEY_MISSING if that is all.
 */
export function loadConfig(options: LoadOptions = {}): Config {
  return load(options).config
}

/** The same, with what it was made of. @throws as {@link loadConfig} */
export function load(options: LoadOptions = {}): Loaded {
  const { env = process.env, needs = ['key'], texts } = options
  const directory = resolve(options.directory ?? process.cwd())
  const problems: Problem[] = []
  const variablesOfFile = readDotenv(directory, problems, texts?.dotenv)
  const environment = readEnvironment(env, variablesOfFile)
  problems.push(...findForeign(environment))
  const values = readValues(environment, directory, problems)
  const file = readConfigurationFile(values.BACKUP_CONFIG, environment, directory, problems, texts?.file)
  const destinations = findDestinations(
    { values, environment, file, directory, home: home(values, directory) },
    problems,
  )
  const defaults = settingsOfEnvironment(values, destinations)
  const found = findSources({ values, environment, file, destinations, defaults }, problems)
  problems.push(...findMissing(values, found, problems, needs), ...findContradictions(values, problems))
  if (problems.length > 0) throw problemsError(problems)
  const warnings = [...found.warnings, ...findOversights(values, found)]
  const dotenv = variablesOfFile.size === 0 ? undefined : join(directory, dotenvName)
  const config = assemble({ values, environment, file, dotenv, destinations, found, warnings, directory })
  return { config, values, environment, file }
}

const home = (values: Values, working: string) => values.BACKUP_DIR ?? join(working, 'backups')

function readValues(environment: Environment, directory: string, problems: Problem[]): Values {
  const read = ([name, { secret, fallback, parse, example }]: [string, Variable<unknown>]) => {
    const given = readVariable(name, secret, environment, directory, problems)
    if (given === undefined) return [name, fallback]
    try {
      return [name, parse(given.text, directory, given.fromFile)]
    } catch (error) {
      if (!(error instanceof Wrong)) throw error
      const remedy = error.remedy ?? `Write for example ${name}=${example}.`
      problems.push({ variable: name, what: error.message, remedy, code: error.code })
      return [name, fallback]
    }
  }
  return Object.fromEntries(Object.entries(variables).map(read)) as Values
}

function findMissing(
  values: Values,
  { sources, groups, defaults }: Found,
  problems: readonly Problem[],
  needs: readonly Need[],
): Problem[] {
  const sourceMissing = sources.length + groups.length === 0 && needs.includes('source')
  const encrypted = [defaults, ...sources, ...groups].some(({ cipher }) => cipher !== 'none')
  // What was given and is wrong has been reported already.
  const reported = (name: string) => problems.some(({ variable }) => variable.replace(/_FILE$/, '') === name)
  const missing = (
    name: VariableName,
    what: string,
    remedy: string,
    code: Problem['code'] = 'CONFIG_INVALID',
  ) => (values[name] === undefined && !reported(name) ? [{ variable: name, what, remedy, code }] : [])
  const example = (name: VariableName) => `Set for example ${name}=${variables[name].example}.`
  return [
    ...(sourceMissing ? missing('DATABASE_URL', 'it is not set', example('DATABASE_URL')) : []),
    ...(needs.includes('redis') ? missing('REDIS_URL', 'it is not set', example('REDIS_URL')) : []),
    ...(needs.includes('key') && encrypted
      ? missing(
          'BACKUP_ENCRYPTION_KEY',
          `${values.BACKUP_ENCRYPTION === true ? 'BACKUP_ENCRYPTION' : 'the configuration'} asks for encryption, and there is no key`,
          'Make one with: npx --no securyflex-backup key generate',
          'KEY_MISSING',
        )
      : []),
  ]
}

/** Values that are right alone and wrong together. */
function findContradictions(values: Values, found: readonly Problem[]): Problem[] {
  const problems: Problem[] = []
  const refuse = (variable: VariableName, what: string, remedy: string) => {
    problems.push({ variable, what, remedy, code: 'CONFIG_INVALID' })
  }
  const needed = spoolPerDump * values.WORKER_CONCURRENCY_DUMP
  if (values.BACKUP_SPOOL_LIMIT < needed) {
    const least = `${Math.ceil(needed / 2 ** 20)}MiB`
    const dumps =
      values.WORKER_CONCURRENCY_DUMP === 1
        ? 'a dump needs'
        : `${values.WORKER_CONCURRENCY_DUMP} dumps at a time need`
    refuse(
      'BACKUP_SPOOL_LIMIT',
      `it is too little: ${dumps} ${least}`,
      `Write at least BACKUP_SPOOL_LIMIT=${least}.`,
    )
  }
  const { BACKUP_COMPRESSION_ALGORITHM: algorithm, BACKUP_COMPRESSION_LEVEL: level = 0 } = values
  const { usual, highest } = compressionLevels[algorithm]
  if (level > highest) {
    refuse(
      'BACKUP_COMPRESSION_LEVEL',
      `${algorithm}’s levels are 1 to ${highest}`,
      `Write for example BACKUP_COMPRESSION_LEVEL=${usual}.`,
    )
  }
  if (values.WORKER_STALLED_INTERVAL > values.WORKER_LOCK_DURATION) {
    refuse(
      'WORKER_STALLED_INTERVAL',
      'it is longer than WORKER_LOCK_DURATION',
      'Write for example WORKER_STALLED_INTERVAL=15000 and WORKER_LOCK_DURATION=60000.',
    )
  }
  findOpenDashboard(values, refuse)
  // Of a file that cannot be read it has been said.
  if (!found.some(({ variable }) => variable.startsWith('REDIS_TLS_'))) findHalfTls(values, refuse)
  return problems
}

/** Certificates that no connection would use. */
function findHalfTls(
  values: Values,
  refuse: (variable: VariableName, what: string, remedy: string) => void,
): void {
  const { REDIS_URL: address, REDIS_TLS_CERT: certificate, REDIS_TLS_KEY: key } = values
  const names = ['REDIS_TLS_CA', 'REDIS_TLS_CERT', 'REDIS_TLS_KEY'] as const
  const set = names.find((name) => values[name] !== undefined)
  if (set === undefined) return
  if (address?.shown.startsWith('redis:')) {
    const remedy = `Write rediss:// there if that Redis speaks TLS, or unset ${set}.`
    refuse('REDIS_URL', `it begins with redis://, and ${set} is for TLS`, remedy)
  }
  if (certificate !== undefined && key === undefined)
    refuse('REDIS_TLS_KEY', 'it is not set, but REDIS_TLS_CERT is', 'Set both, or neither.')
  if (certificate === undefined && key !== undefined)
    refuse('REDIS_TLS_CERT', 'it is not set, but REDIS_TLS_KEY is', 'Set both, or neither.')
}

function findOpenDashboard(
  values: Values,
  refuse: (variable: VariableName, what: string, remedy: string) => void,
): void {
  const { DASHBOARD_HOST: host, DASHBOARD_USER: user, DASHBOARD_PASSWORD: password } = values
  if (user !== undefined && password !== undefined) return
  if (user !== undefined)
    refuse('DASHBOARD_PASSWORD', 'it is not set, but DASHBOARD_USER is', 'Set both, or neither.')
  else if (password !== undefined)
    refuse('DASHBOARD_USER', 'it is not set, but DASHBOARD_PASSWORD is', 'Set both, or neither.')
  else if (!isLoopback(host)) {
    refuse(
      'DASHBOARD_HOST',
      `at ${host} others reach the dashboard, and it asks for no password`,
      'Set DASHBOARD_USER and DASHBOARD_PASSWORD, or DASHBOARD_HOST=127.0.0.1.',
    )
  }
}

/** What is allowed and probably not meant. */
function findOversights(values: Values, { defaults, sources, groups }: Found): string[] {
  const warnings: string[] = []
  const encrypted = [defaults, ...sources, ...groups].some(({ cipher }) => cipher !== 'none')
  if (!encrypted && values.BACKUP_ENCRYPTION === undefined && values.BACKUP_ENCRYPTION_KEY !== undefined) {
    warnings.push(
      'BACKUP_ENCRYPTION_KEY is set, but backups are not encrypted: set BACKUP_ENCRYPTION=true, or false to be rid of this.',
    )
  }
  if (values.BACKUP_WEBHOOK_SECRET !== undefined && values.BACKUP_WEBHOOK_URL === undefined) {
    warnings.push('BACKUP_WEBHOOK_SECRET is set, but nothing is announced: set BACKUP_WEBHOOK_URL.')
  }
  if (values.REDIS_TLS_CA !== undefined && values.REDIS_URL === undefined) {
    warnings.push('REDIS_TLS_CA is set, but there is no Redis to reach: set REDIS_URL.')
  }
  if (values.BACKUP_SOURCE !== undefined && values.DATABASE_URL === undefined) {
    warnings.push('BACKUP_SOURCE is set, but there is no database: set DATABASE_URL.')
  }
  return warnings
}

interface Parts {
  readonly values: Values
  readonly environment: Environment
  readonly file: ConfigurationFile | undefined
  readonly dotenv: string | undefined
  readonly destinations: readonly Destination[]
  readonly found: Found
  readonly warnings: readonly string[]
  readonly directory: string
}

function assemble(parts: Parts): Config {
  const { values, environment, file, destinations, found, warnings } = parts
  const directory = home(values, parts.directory)
  return {
    installation: values.BACKUP_INSTALLATION,
    redis: redisOf(values),
    directory,
    sources: found.sources,
    groups: found.groups,
    defaults: found.defaults,
    limits: found.limits,
    file: file?.isBlank ? undefined : file?.path,
    dotenv: parts.dotenv,
    destinations,
    keys: { current: values.BACKUP_ENCRYPTION_KEY, previous: values.BACKUP_ENCRYPTION_KEY_PREVIOUS },
    opensslPassphrase: values.BACKUP_OPENSSL_PASSPHRASE,
    scheduleEnabled: values.BACKUP_SCHEDULE_ENABLED,
    webhook: values.BACKUP_WEBHOOK_URL && {
      ...values.BACKUP_WEBHOOK_URL,
      secret: values.BACKUP_WEBHOOK_SECRET,
    },
    spool: {
      directory: values.BACKUP_SPOOL_DIR ?? join(directory, 'spool'),
      limit: values.BACKUP_SPOOL_LIMIT,
    },
    stallMinutes: values.BACKUP_STALL_MINUTES,
    pgBinDirectory: values.BACKUP_PG_BIN_DIR,
    dashboard: {
      host: values.DASHBOARD_HOST,
      port: values.DASHBOARD_PORT,
      user: values.DASHBOARD_USER,
      password: values.DASHBOARD_PASSWORD,
      apiToken: values.BACKUP_API_TOKEN,
      sshConnection: environment['SSH_CONNECTION'],
    },
    worker: worker(values),
    logs: { directory: join(directory, 'logs'), level: values.BACKUP_LOG_LEVEL },
    // Where a file describes the sources, the environment is only beneath it.
    requested: file === undefined ? requested(values, environment) : {},
    warnings,
  }
}

function redisOf(values: Values): Config['redis'] {
  const { REDIS_URL: address, REDIS_TLS_CA: ca, REDIS_TLS_CERT: certificate, REDIS_TLS_KEY: key } = values
  if (!address?.shown.startsWith('rediss:') || (ca === undefined && certificate === undefined)) return address
  const client = certificate === undefined || key === undefined ? undefined : { certificate, key }
  return { ...address, tls: { ca, client } }
}

/** What was set and not left to its default. Where a file describes the sources, the environment is only beneath it. */
function requested(values: Values, environment: Environment): RequestedOptions {
  const isSet = (...names: VariableName[]) => names.some((name) => environment[name] !== undefined)
  const compressionSet = isSet(
    'BACKUP_COMPRESSION',
    'BACKUP_COMPRESSION_ALGORITHM',
    'BACKUP_COMPRESSION_LEVEL',
  )
  return {
    ...(compressionSet ? { compression: compressionOf(values) } : {}),
    ...(isSet('BACKUP_ENCRYPTION', 'BACKUP_ENCRYPTION_ALGORITHM') ? { cipher: cipherOf(values) } : {}),
    ...(isSet('BACKUP_FINGERPRINT') ? { fingerprint: values.BACKUP_FINGERPRINT } : {}),
    ...(values.BACKUP_RETENTION_DAYS === undefined ? {} : { retentionDays: values.BACKUP_RETENTION_DAYS }),
  }
}

function worker(values: Values): WorkerSettings {
  const concurrency = Object.fromEntries(steps.map((step) => [step, values[concurrencyVariable(step)]]))
  return {
    steps: values.WORKER_STEPS,
    concurrency: concurrency as WorkerSettings['concurrency'],
    lockDuration: values.WORKER_LOCK_DURATION,
    stalledInterval: values.WORKER_STALLED_INTERVAL,
    retryDelay: values.WORKER_RETRY_DELAY,
  }
}
