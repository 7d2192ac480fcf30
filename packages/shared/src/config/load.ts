import { join, resolve } from 'node:path'
import { BackupError } from '@securyflex/shared/errors'
import type { Compression, Config, Encryption, RequestedOptions, Source, WorkerSettings } from './config.ts'
import { parseConnection } from './connection/parse.ts'
import { type Environment, findForeign, readEnvironment, readVariable } from './environment.ts'
import { isLoopback } from './parsers.ts'
import { type Problem, problemsError } from './problem.ts'
import { steps } from './steps.ts'
import type { Variable } from './variable.ts'
import { concurrencyVariable, type VariableName, variables } from './variables.ts'
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
}

type Values = { readonly [Name in VariableName]: (typeof variables)[Name]['fallback'] }

/** Bytes: four batches of the largest size (41 MiB), each reserving raw, packed and sealed. */
const spoolPerDump = 4 * 3 * 41 * 2 ** 20

/**
 * Reads the environment and `.env`, and validates all of it.
 * @throws BackupError CONFIG_INVALID that names every problem at once; KEY_WEAK or KEY_MISSING if that is all.
 */
export function loadConfig(options: LoadOptions = {}): Config {
  const { env = process.env, needs = ['key'] } = options
  const directory = resolve(options.directory ?? process.cwd())
  const problems: Problem[] = []
  const environment = readEnvironment(env, directory, problems)
  problems.push(...findForeign(environment))
  const values = readValues(environment, directory, problems)
  const { sources, warnings } = readSources(values, environment, problems)
  problems.push(...findMissing(values, problems, needs), ...findContradictions(values))
  if (problems.length > 0) throw problemsError(problems)
  return assemble(values, environment, sources, [...warnings, ...findOversights(values)], directory)
}

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

function readSources(values: Values, environment: Environment, problems: Problem[]) {
  const url = values.DATABASE_URL
  if (url === undefined) return { sources: [], warnings: [] }
  try {
    const { connection, notices } = parseConnection(url.reveal(), environment)
    const name = values.BACKUP_SOURCE ?? connection.database.replaceAll(/[^A-Za-z0-9_-]/g, '-')
    return { sources: [{ name, connection }], warnings: notices.map((notice) => `DATABASE_URL: ${notice}`) }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const remedy = error.hint ?? `Write for example DATABASE_URL=${variables.DATABASE_URL.example}.`
    problems.push({ variable: 'DATABASE_URL', what: error.message, remedy, code: error.code })
    return { sources: [], warnings: [] }
  }
}

function findMissing(values: Values, problems: readonly Problem[], needs: readonly Need[]): Problem[] {
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
    ...(needs.includes('source') ? missing('DATABASE_URL', 'it is not set', example('DATABASE_URL')) : []),
    ...(needs.includes('redis') ? missing('REDIS_URL', 'it is not set', example('REDIS_URL')) : []),
    ...(needs.includes('key') && values.BACKUP_ENCRYPTION === true
      ? missing(
          'BACKUP_ENCRYPTION_KEY',
          'BACKUP_ENCRYPTION asks for encryption, and there is no key',
          'Make one with: npx --no securyflex-backup key generate',
          'KEY_MISSING',
        )
      : []),
  ]
}

/** Values that are right alone and wrong together. */
function findContradictions(values: Values): Problem[] {
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
  if (values.BACKUP_COMPRESSION_ALGORITHM === 'gzip' && (values.BACKUP_COMPRESSION_LEVEL ?? 0) > 9) {
    refuse(
      'BACKUP_COMPRESSION_LEVEL',
      'gzip’s levels are 1 to 9',
      'Write for example BACKUP_COMPRESSION_LEVEL=6.',
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
  return problems
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
function findOversights(values: Values): string[] {
  const warnings: string[] = []
  if (values.BACKUP_ENCRYPTION === undefined && values.BACKUP_ENCRYPTION_KEY !== undefined) {
    warnings.push(
      'BACKUP_ENCRYPTION_KEY is set, but backups are not encrypted: set BACKUP_ENCRYPTION=true, or false to be rid of this.',
    )
  }
  if (values.BACKUP_WEBHOOK_SECRET !== undefined && values.BACKUP_WEBHOOK_URL === undefined) {
    warnings.push('BACKUP_WEBHOOK_SECRET is set, but nothing is announced: set BACKUP_WEBHOOK_URL.')
  }
  if (values.BACKUP_SOURCE !== undefined && values.DATABASE_URL === undefined) {
    warnings.push('BACKUP_SOURCE is set, but there is no database: set DATABASE_URL.')
  }
  return warnings
}

function assemble(
  values: Values,
  environment: Environment,
  sources: readonly Source[],
  warnings: readonly string[],
  working: string,
): Config {
  const directory = values.BACKUP_DIR ?? join(working, 'backups')
  return {
    installation: values.BACKUP_INSTALLATION,
    redis: values.REDIS_URL,
    directory,
    sources,
    destinations: [{ kind: 'local', name: 'local', directory: join(directory, 'repository') }],
    compression: compression(values),
    encryption: encryption(values),
    keys: { current: values.BACKUP_ENCRYPTION_KEY, previous: values.BACKUP_ENCRYPTION_KEY_PREVIOUS },
    opensslPassphrase: values.BACKUP_OPENSSL_PASSPHRASE,
    schedule: {
      enabled: values.BACKUP_SCHEDULE_ENABLED,
      cron: values.BACKUP_CRON,
      timeZone: values.BACKUP_TIMEZONE,
    },
    retentionDays: values.BACKUP_RETENTION_DAYS,
    retentionMinimum: values.BACKUP_RETENTION_MINIMUM,
    fingerprint: values.BACKUP_FINGERPRINT,
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
      sshConnection: environment['SSH_CONNECTION'],
    },
    worker: worker(values),
    logs: { directory: join(directory, 'logs'), level: values.BACKUP_LOG_LEVEL },
    requested: requested(values, environment),
    warnings,
  }
}

function requested(values: Values, environment: Environment): RequestedOptions {
  const isSet = (...names: VariableName[]) => names.some((name) => environment[name] !== undefined)
  const compressionSet = isSet(
    'BACKUP_COMPRESSION',
    'BACKUP_COMPRESSION_ALGORITHM',
    'BACKUP_COMPRESSION_LEVEL',
  )
  return {
    ...(compressionSet ? { compression: compression(values) } : {}),
    ...(isSet('BACKUP_ENCRYPTION', 'BACKUP_ENCRYPTION_ALGORITHM')
      ? { cipher: encryption(values).cipher }
      : {}),
    ...(isSet('BACKUP_FINGERPRINT') ? { fingerprint: values.BACKUP_FINGERPRINT } : {}),
    ...(isSet('BACKUP_RETENTION_DAYS') ? { retentionDays: values.BACKUP_RETENTION_DAYS } : {}),
  }
}

function compression(values: Values): Compression {
  if (!values.BACKUP_COMPRESSION) return { algorithm: 'none', level: 0 }
  const algorithm = values.BACKUP_COMPRESSION_ALGORITHM
  return { algorithm, level: values.BACKUP_COMPRESSION_LEVEL ?? (algorithm === 'zstd' ? 3 : 6) }
}

function encryption(values: Values): Encryption {
  return { cipher: values.BACKUP_ENCRYPTION ? values.BACKUP_ENCRYPTION_ALGORITHM : 'none' }
}

function worker(values: Values): WorkerSettings {
  const concurrency = Object.fromEntries(steps.map((step) => [step, values[concurrencyVariable(step)]]))
  return {
    concurrency: concurrency as WorkerSettings['concurrency'],
    lockDuration: values.WORKER_LOCK_DURATION,
    stalledInterval: values.WORKER_STALLED_INTERVAL,
    retryDelay: values.WORKER_RETRY_DELAY,
  }
}
