import type { Secret } from '@securyflex/shared/errors'
import type { Connection } from './connection/connection.ts'
import type { Step } from './steps.ts'

/** The whole configuration, validated; the only form in which other rooms see the environment. */
export interface Config {
  /** Name of this installation (`BACKUP_INSTALLATION`); without it the writing key record's id is used. */
  readonly installation: string | undefined
  /** Undefined without `REDIS_URL`. */
  readonly redis: RedisAddress | undefined
  /** Absolute path of `BACKUP_DIR`. */
  readonly directory: string
  /** Empty without `DATABASE_URL`. */
  readonly sources: readonly Source[]
  /** At least one. */
  readonly destinations: readonly Destination[]
  readonly compression: Compression
  readonly encryption: Encryption
  readonly keys: Keys
  /** Of files of `openssl enc` (`BACKUP_OPENSSL_PASSPHRASE`); undefined means the keys. */
  readonly opensslPassphrase: Secret | undefined
  readonly schedule: Schedule
  /** Days for which a backup is kept; at least 1. */
  readonly retentionDays: number
  /** The newest backups that are kept whatever their age; at least 1. */
  readonly retentionMinimum: number
  readonly fingerprint: FingerprintLevel
  readonly webhook: Webhook | undefined
  readonly spool: Spool
  /** Minutes without progress after which a destination is dropped from a run. */
  readonly stallMinutes: number
  /** Directory of PostgreSQL's client tools; undefined means that they are looked for. */
  readonly pgBinDirectory: string | undefined
  readonly dashboard: Dashboard
  readonly worker: WorkerSettings
  readonly logs: Logs
  /** What was set and not left to its default: these go with a run that this process asks for. */
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
}

/** One database to back up. */
export interface Source {
  readonly name: string
  readonly connection: Connection
}

/** A place that holds a repository. */
export type Destination = LocalDestination

/** A repository in a directory of this machine. */
export interface LocalDestination {
  readonly kind: 'local'
  readonly name: string
  /** Absolute path. */
  readonly directory: string
}

/** `level` is 0 for `none`, 1–9 for gzip and 1–19 for zstd. */
export interface Compression {
  readonly algorithm: 'none' | 'gzip' | 'zstd'
  readonly level: number
}

/** How segments are sealed. */
export type Cipher = 'none' | 'aes-256-gcm' | 'aes-256-cbc'

export interface Encryption {
  readonly cipher: Cipher
}

/** Key material as it was given: hex, base64 or a passphrase. */
export interface Keys {
  /** What new backups are sealed with. */
  readonly current: Secret | undefined
  /** What older backups may have been sealed with; for reading only. */
  readonly previous: readonly Secret[]
}

export interface Schedule {
  readonly enabled: boolean
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
  /** `SSH_CONNECTION`, set by sshd in a session: client address and port, server address and port. */
  readonly sshConnection: string | undefined
}

export interface WorkerSettings {
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
