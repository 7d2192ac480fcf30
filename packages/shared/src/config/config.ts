import type { Secret } from '@securyflex/shared/errors'
import type { Connection, DatabasePasswords } from './connection/connection.ts'
import type { Destination } from './destinations/destination.ts'
import type { Step } from './steps.ts'

/** The whole configuration, validated; the only form in which other rooms see the environment. */
export interface Config {
  /** Name of this installation (`BACKUP_INSTALLATION`); without it the writing key record's id is used. */
  readonly installation: string | undefined
  /** Undefined without `REDIS_URL`. */
  readonly redis: RedisAddress | undefined
  /** Absolute path of `BACKUP_DIR`. */
  readonly directory: string
  /** Empty without `DATABASE_URL` and without a configuration file. */
  readonly sources: readonly Source[]
  /** Servers of which every database is backed up. */
  readonly groups: readonly SourceGroup[]
  /** What holds for every source that says nothing else; also for backups of sources that are no longer configured. */
  readonly defaults: SourceSettings
  /** The most backups that are made at a time, by server and in all; undefined means no limit. */
  readonly limits: Limits
  /** Absolute path of the configuration file; undefined without one, and where it says nothing. */
  readonly file: string | undefined
  /** Absolute path of `.env`; undefined without one, and where it says nothing. */
  readonly dotenv: string | undefined
  /** At least one. */
  readonly destinations: readonly Destination[]
  readonly keys: Keys
  /** Of files of `openssl enc` (`BACKUP_OPENSSL_PASSPHRASE`); undefined means the keys. */
  readonly opensslPassphrase: Secret | undefined
  /** Whether backups are asked for by the clock at all (`BACKUP_SCHEDULE_ENABLED`). */
  readonly scheduleEnabled: boolean
  readonly webhook: Webhook | undefined
  readonly spool: Spool
  /** Minutes without progress after which a destination is dropped from a run. */
  readonly stallMinutes: number
  /** Directory of PostgreSQL's client tools; undefined means that they are looked for. */
  readonly pgBinDirectory: string | undefined
  readonly dashboard: Dashboard
  readonly worker: WorkerSettings
  readonly logs: Logs
  /** What was set and not left to its default: these go with a run that this process asks for. Empty where a file is. */
  readonly requested: RequestedOptions
  /** Sentences to show once at start: what was dropped, what is unsafe. */
  readonly warnings: readonly string[]
}

/** Where Redis listens. */
export interface RedisAddress {
  /** `redis://…`, `rediss://…` or `unix:///path.sock`, as it was given. */
  readonly url: Secret
  /** The same without credentials. */
  readonly shown: string
  /** What a `rediss://` needs beside the authorities that Node.js trusts; PEM. */
  readonly tls?: RedisTls
}

/** Certificates for Redis (`REDIS_TLS_CA`, `REDIS_TLS_CERT`, `REDIS_TLS_KEY`). */
export interface RedisTls {
  /** Of the authority that signed the certificate of Redis; undefined means those of Node.js. */
  readonly ca: string | undefined
  /** Ours, for a Redis that asks for one. */
  readonly client: { readonly certificate: string; readonly key: Secret } | undefined
}

/** How backups of a source are made, kept and told; every default applied. */
export interface SourceSettings {
  /** Empty if backups are made on request only. */
  readonly schedules: readonly Schedule[]
  /** IANA name; times of the source are shown in it. */
  readonly timeZone: string
  /** Schedules begin up to so many minutes later, always the same for one source. */
  readonly spreadMinutes: number
  /** A backup whose time passed while nothing ran is made late, if by no more than this. */
  readonly latenessHours: number
  /** What becomes of a request while a run of the source is under way. */
  readonly overlap: 'skip' | 'again'
  readonly retention: Retention
  readonly scrub: Scrubbing
  readonly compression: Compression
  readonly cipher: Cipher
  readonly fingerprint: FingerprintLevel
  /** Names, at least one. */
  readonly destinations: readonly string[]
  /** Where outcomes are told, besides the dashboard. */
  readonly channels: readonly Channel[]
  readonly selection: Selection
}

/**
 * Which backups are kept: each that some rule keeps. A rule that is undefined keeps none; the counts are at least 1.
 * Periods are those of the source's time zone; docs/retention.md.
 */
export interface Retention {
  /** Those that are younger than so many days of 24 hours. */
  readonly days: number | undefined
  /** The newest. */
  readonly last: number | undefined
  /** The newest of each of the newest days, weeks (from Monday), months and years that have a backup. */
  readonly daily: number | undefined
  readonly weekly: number | undefined
  readonly monthly: number | undefined
  readonly yearly: number | undefined
  /** The newest good ones, whatever the rules say. */
  readonly minimum: number
}

/** How what is stored is read back by and by; docs/scrubbing.md. */
export interface Scrubbing {
  /** Empty if that is done on request only. */
  readonly schedules: readonly Schedule[]
  /** The part of the segments that each scrub reads back: more than 0, at most 1. */
  readonly share: number
}

/** A way on which outcomes are told. */
export type Channel = 'log' | 'webhook'

/** What of a database is backed up: patterns as pg_dump has them; empty lists choose everything. */
export interface Selection {
  readonly schemas: readonly string[]
  readonly tables: readonly string[]
  readonly withoutSchemas: readonly string[]
  readonly withoutTables: readonly string[]
  readonly withoutTableData: readonly string[]
}

/** One database to back up. */
export interface Source extends SourceSettings {
  readonly name: string
  readonly connection: Connection
  /** The server's name in the configuration file, or else where it listens: limits are counted by it. */
  readonly server: string
}

/** Every connectable database of a server, looked up when a backup is due. */
export interface SourceGroup extends SourceSettings {
  readonly name: string
  /** To the server's maintenance database. */
  readonly connection: Connection
  readonly server: string
  /** Patterns of databases that are left out. */
  readonly withoutDatabases: readonly string[]
  /** What the password file says of its databases, if the password is from there. */
  readonly passwords?: DatabasePasswords
}

export interface Limits {
  /** By the server's name. */
  readonly servers: Readonly<Record<string, number>>
  readonly runs: number | undefined
}

/** `level` is 0 for `none`, 1–9 for gzip and 1–19 for zstd. */
export interface Compression {
  readonly algorithm: 'none' | 'gzip' | 'zstd'
  readonly level: number
}

/** How segments are sealed. */
export type Cipher = 'none' | 'aes-256-gcm' | 'aes-256-cbc'

/** Key material as it was given: hex, base64 or a passphrase. */
export interface Keys {
  /** What new backups are sealed with. */
  readonly current: Secret | undefined
  /** What older backups may have been sealed with; for reading only. */
  readonly previous: readonly Secret[]
}

export interface Schedule {
  /** Five fields or a name such as `@daily`. */
  readonly cron: string
  /** IANA name. */
  readonly timeZone: string
}

/** How much of the source is recorded for comparison after a restore. */
export type FingerprintLevel = 'counts' | 'checksums' | 'off'

/** How a run is to be made, as far as whoever asks for it cares. */
export interface RequestedOptions {
  readonly compression?: Compression
  readonly cipher?: Cipher
  readonly fingerprint?: FingerprintLevel
  readonly retentionDays?: number
}

/** Where outcomes are announced. */
export interface Webhook {
  readonly url: Secret
  /** Origin only: services such as Slack put their secret into the path. */
  readonly shown: string
  /** Signs each message when set. */
  readonly secret: Secret | undefined
}

export interface Spool {
  /** Absolute path. */
  readonly directory: string
  /** Bytes. */
  readonly limit: number
}

export interface Dashboard {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  readonly user: string | undefined
  readonly password: Secret | undefined
  /** What programs show that ask over HTTP (`BACKUP_API_TOKEN`); without it the API is off. */
  readonly apiToken: Secret | undefined
  /** `SSH_CONNECTION`, set by sshd in a session: client address and port, server address and port. */
  readonly sshConnection: string | undefined
}

export interface WorkerSettings {
  /** What a worker process serves (`WORKER_STEPS`); at least one. */
  readonly steps: readonly Step[]
  /** Jobs of a step that one worker process does at a time. */
  readonly concurrency: Readonly<Record<Step, number>>
  /** Milliseconds. */
  readonly lockDuration: number
  /** Milliseconds. */
  readonly stalledInterval: number
  /** Milliseconds before a failed job's second attempt; each further wait is twice as long. */
  readonly retryDelay: number
}

export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

export interface Logs {
  /** Absolute path. */
  readonly directory: string
  readonly level: LogLevel
}
