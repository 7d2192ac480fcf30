import { Secret } from '@securyflex/shared/errors'
import { redisAddress, webhookAddress } from './addresses.ts'
import { compressionLevels, usualLevels } from './compression.ts'
import { cron } from './cron.ts'
import { key, keys } from './key-strength.ts'
import { boolean, bucket, endpoint, host, name, oneOf, path, prefix } from './parsers.ts'
import { size, stepList, text, token, wholeNumber } from './parsers.ts'
import { certificateFile, privateKeyFile } from './pem.ts'
import { share } from './share.ts'
import { type Step, steps } from './steps.ts'
import { timeZone } from './time.ts'
import { variable } from './variable.ts'

const secret = (value: string) => new Secret(value)

/** Hides nothing by itself, since without its password it may be shown; the parser of connections hides that. */
const connectionString = (value: string) => new Secret(value, [])

const retentionCount = (about: string, example: string) =>
  variable({
    section: 'Schedule and retention',
    about,
    fallback: undefined,
    shownDefault: 'none',
    example,
    parse: wholeNumber(1, 10_000),
  })

/** The one table of all variables; the loader and docs/configuration.md follow from it. */
export const variables = {
  DATABASE_URL: variable({
    section: 'Database',
    about:
      'The database to back up, as a PostgreSQL connection string: a URI or `host=… dbname=…`. What it leaves open is taken from a service file, the `PG…` variables and the password file, as `psql` does.',
    fallback: undefined,
    shownDefault: 'none',
    example: 'postgresql://backup@db.example.com:5432/shop',
    secret: true,
    parse: connectionString,
  }),
  BACKUP_SOURCE: variable({
    section: 'Database',
    about: 'The name under which the database’s backups are kept: letters, digits, `-` and `_`.',
    fallback: undefined,
    shownDefault: 'the database’s name',
    example: 'shop',
    parse: name,
  }),
  BACKUP_CONFIG: variable({
    section: 'Database',
    about: 'The configuration file for several databases.',
    fallback: undefined,
    shownDefault: '`backup.config.yaml` in the working directory, if there is one',
    example: '/etc/securyflex/backup.config.yaml',
    parse: path,
  }),
  BACKUP_PG_BIN_DIR: variable({
    section: 'Database',
    about:
      'The directory of `pg_dump` and its kin. Without it the ones of the server’s own version are looked for.',
    fallback: undefined,
    shownDefault: 'found by itself',
    example: '/usr/lib/postgresql/17/bin',
    parse: path,
  }),
  BACKUP_FINGERPRINT: variable({
    section: 'Database',
    about:
      'What is recorded of the database for the comparison after a restore: `counts` of rows, `checksums` of all rows too (reads every table once more), or `off`.',
    fallback: 'counts',
    shownDefault: 'counts',
    example: 'checksums',
    parse: oneOf('counts', 'checksums', 'off'),
  }),
  REDIS_URL: variable({
    section: 'Redis',
    about:
      'Where the queues live: `redis://`, `rediss://` (TLS) or `unix://` and the path of a socket; see [redis.md](redis.md).',
    fallback: undefined,
    shownDefault: 'a Redis is started for the purpose',
    example: 'redis://127.0.0.1:6379/0',
    secret: true,
    parse: redisAddress,
  }),
  REDIS_TLS_CA: variable({
    section: 'Redis',
    about:
      'For `rediss://`: the file with the certificate of the authority that signed that of Redis, if it is one of your own (PEM).',
    fallback: undefined,
    shownDefault: 'the authorities that Node.js trusts',
    example: '/etc/securyflex/redis-ca.pem',
    parse: certificateFile,
  }),
  REDIS_TLS_CERT: variable({
    section: 'Redis',
    about: 'For a Redis that asks for a client certificate: the file with ours (PEM).',
    fallback: undefined,
    shownDefault: 'none',
    example: '/etc/securyflex/redis-client.pem',
    parse: certificateFile,
  }),
  REDIS_TLS_KEY: variable({
    section: 'Redis',
    about: 'The file with the private key of `REDIS_TLS_CERT`, without a passphrase (PEM).',
    fallback: undefined,
    shownDefault: 'none',
    example: '/etc/securyflex/redis-client.key',
    parse: privateKeyFile,
  }),
  BACKUP_DIR: variable({
    section: 'Where backups are kept',
    about: 'The directory of this installation: `repository` (backups and run reports), `spool`, `logs`.',
    fallback: undefined,
    shownDefault: '`./backups`',
    example: '/srv/backups',
    parse: path,
  }),
  BACKUP_LOCAL: variable({
    section: 'Where backups are kept',
    about:
      'Whether backups are kept in `repository` in `BACKUP_DIR`. They are, beside the cloud too, unless this is false or the configuration file names destinations.',
    fallback: undefined,
    shownDefault: 'true, without destinations in the file',
    example: 'true',
    parse: boolean,
  }),
  BACKUP_CLOUD_PROVIDER: variable({
    section: 'Where backups are kept',
    about:
      'Keeps backups in a cloud as well, as the destination `cloud`: `aws` (Amazon S3 and stores that speak its protocol), `azure` or `gcp`. Who may do so is said by the provider’s own variables and files; see [destinations.md](destinations.md).',
    fallback: undefined,
    shownDefault: 'none',
    example: 'aws',
    parse: oneOf('aws', 'azure', 'gcp'),
  }),
  BACKUP_CLOUD_BUCKET: variable({
    section: 'Where backups are kept',
    about: 'The bucket, or Azure’s container. It must be there.',
    fallback: undefined,
    shownDefault: 'none',
    example: 'company-backups',
    parse: bucket,
  }),
  BACKUP_CLOUD_REGION: variable({
    section: 'Where backups are kept',
    about: 'The region; Amazon’s only.',
    fallback: undefined,
    shownDefault: '`AWS_REGION`, or that of `~/.aws`',
    example: 'eu-central-1',
    parse: text,
  }),
  BACKUP_CLOUD_PREFIX: variable({
    section: 'Where backups are kept',
    about: 'What comes before the names of all objects there.',
    fallback: undefined,
    shownDefault: 'nothing',
    example: 'production',
    parse: prefix,
  }),
  BACKUP_CLOUD_ENDPOINT: variable({
    section: 'Where backups are kept',
    about: 'Where the store listens, if it is not the provider’s own.',
    fallback: undefined,
    shownDefault: 'the provider’s',
    example: 'https://s3.example.com',
    parse: endpoint,
  }),
  BACKUP_CLOUD_ALLOW_HTTP: variable({
    section: 'Where backups are kept',
    about: 'Allows an endpoint without TLS, in a network of one’s own.',
    fallback: undefined,
    shownDefault: 'false',
    example: 'false',
    parse: boolean,
  }),
  BACKUP_INSTALLATION: variable({
    section: 'Where backups are kept',
    about:
      'The name of this installation; a repository of another one is neither written nor pruned until it is [adopted](restoring.md#taking-over).',
    fallback: undefined,
    shownDefault: 'the id of the key',
    example: 'amsterdam-1',
    parse: name,
  }),
  BACKUP_SPOOL_DIR: variable({
    section: 'Where backups are kept',
    about: 'Where batches wait between the steps; a local disk that all workers share.',
    fallback: undefined,
    shownDefault: '`spool` in `BACKUP_DIR`',
    example: '/var/tmp/securyflex-spool',
    parse: path,
  }),
  BACKUP_SPOOL_LIMIT: variable({
    section: 'Where backups are kept',
    about:
      'The most that the spool may hold: bytes, or a number with `MB`, `GB`, `MiB`, `GiB`. Each concurrent dump needs 492 MiB.',
    fallback: 2 ** 30,
    shownDefault: '1GiB',
    example: '1GiB',
    parse: size,
  }),
  BACKUP_STALL_MINUTES: variable({
    section: 'Where backups are kept',
    about: 'Minutes without progress after which a destination is left out of a run.',
    fallback: 15,
    shownDefault: '15',
    example: '15',
    parse: wholeNumber(1, 1440),
  }),
  BACKUP_LOG_LEVEL: variable({
    section: 'Where backups are kept',
    about:
      'How much is logged: `error`, `warn`, `info` or `debug`. Logs are also kept in `logs` in `BACKUP_DIR`.',
    fallback: 'info',
    shownDefault: 'info',
    example: 'debug',
    parse: oneOf('error', 'warn', 'info', 'debug'),
  }),
  BACKUP_COMPRESSION: variable({
    section: 'Compression',
    about: 'Whether backups are compressed.',
    fallback: true,
    shownDefault: 'true',
    example: 'true',
    parse: boolean,
  }),
  BACKUP_COMPRESSION_ALGORITHM: variable({
    section: 'Compression',
    about: '`zstd` or `gzip`.',
    fallback: 'zstd',
    shownDefault: 'zstd',
    example: 'zstd',
    parse: oneOf('zstd', 'gzip'),
  }),
  BACKUP_COMPRESSION_LEVEL: variable({
    section: 'Compression',
    about: 'From 1 (fast) to 19 (small) for zstd, to 9 for gzip.',
    fallback: undefined,
    shownDefault: usualLevels,
    example: '2',
    parse: wholeNumber(1, compressionLevels.zstd.highest),
  }),
  BACKUP_ENCRYPTION: variable({
    section: 'Encryption',
    about: 'Whether backups are encrypted; needs `BACKUP_ENCRYPTION_KEY`.',
    fallback: undefined,
    shownDefault: 'false',
    example: 'true',
    parse: boolean,
  }),
  BACKUP_ENCRYPTION_KEY: variable({
    section: 'Encryption',
    about:
      '64 hex digits, 32 bytes in base64, or a passphrase of at least 16 characters. Make one with `npx --no securyflex-backup key generate`, and keep a copy away from the backups: without it nothing can be restored.',
    fallback: undefined,
    shownDefault: 'none',
    example: '"a long and odd passphrase of your own"',
    secret: true,
    parse: key,
  }),
  BACKUP_ENCRYPTION_KEY_PREVIOUS: variable({
    section: 'Encryption',
    about: 'Earlier keys, for reading older backups: separated by commas, or in a file one on each line.',
    fallback: [],
    shownDefault: 'none',
    example: '"the equally odd passphrase of last year"',
    secret: true,
    parse: keys,
  }),
  BACKUP_OPENSSL_PASSPHRASE: variable({
    section: 'Encryption',
    about:
      'The passphrase of files of `openssl enc`: those that `restore` reads, and those that `export --openssl` writes. Files of the older scripts may have one that is too short for a key.',
    fallback: undefined,
    shownDefault: '`BACKUP_ENCRYPTION_KEY`',
    example: '"the passphrase of the old scripts"',
    secret: true,
    parse: secret,
  }),
  BACKUP_ENCRYPTION_ALGORITHM: variable({
    section: 'Encryption',
    about: '`aes-256-gcm` or `aes-256-cbc` (with HMAC-SHA256).',
    fallback: 'aes-256-gcm',
    shownDefault: 'aes-256-gcm',
    example: 'aes-256-gcm',
    parse: oneOf('aes-256-gcm', 'aes-256-cbc'),
  }),
  BACKUP_SCHEDULE_ENABLED: variable({
    section: 'Schedule and retention',
    about: 'Whether the producer asks for backups and scrubs by the clock.',
    fallback: true,
    shownDefault: 'true',
    example: 'true',
    parse: boolean,
  }),
  BACKUP_CRON: variable({
    section: 'Schedule and retention',
    about:
      'When: five fields (minute, hour, day of the month, month, day of the week), or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.',
    fallback: '0 2 * * *',
    shownDefault: '`0 2 * * *`',
    example: '"0 2 * * *"',
    parse: cron,
  }),
  BACKUP_TIMEZONE: variable({
    section: 'Schedule and retention',
    about: 'The IANA time zone in which `BACKUP_CRON` is meant.',
    fallback: 'Europe/Amsterdam',
    shownDefault: 'Europe/Amsterdam',
    example: 'Europe/Amsterdam',
    parse: timeZone,
  }),
  BACKUP_RETENTION_DAYS: variable({
    section: 'Schedule and retention',
    about:
      'Backups that are younger than so many days are kept. A backup is kept if any of these rules keeps it ([retention.md](retention.md)); the newest good one always is.',
    fallback: undefined,
    shownDefault: '30, if no other rule is set',
    example: '30',
    parse: wholeNumber(1, 36_500),
  }),
  BACKUP_RETENTION_LAST: retentionCount('So many of the newest backups are kept.', '10'),
  BACKUP_RETENTION_DAILY: retentionCount(
    'Of each of so many days that have a backup, the newest backup is kept.',
    '7',
  ),
  BACKUP_RETENTION_WEEKLY: retentionCount('The same of weeks, which begin on Monday.', '4'),
  BACKUP_RETENTION_MONTHLY: retentionCount('The same of months.', '12'),
  BACKUP_RETENTION_YEARLY: retentionCount('The same of years.', '3'),
  BACKUP_RETENTION_MINIMUM: variable({
    section: 'Schedule and retention',
    about: 'How many of the newest good backups are kept whatever their age.',
    fallback: 3,
    shownDefault: '3',
    example: '3',
    parse: wholeNumber(1, 10_000),
  }),
  BACKUP_SCRUB_CRON: variable({
    section: 'Schedule and retention',
    about:
      'When a share of what is stored is read back ([scrubbing.md](scrubbing.md)), in `BACKUP_TIMEZONE`: as `BACKUP_CRON`, or `off`.',
    fallback: '0 4 * * *',
    shownDefault: '`0 4 * * *`',
    example: '"0 4 * * *"',
    parse: (text) => (text.toLowerCase() === 'off' ? 'off' : cron(text)),
  }),
  BACKUP_SCRUB_SHARE: variable({
    section: 'Schedule and retention',
    about:
      'Which part of it each time, what was not read back for the longest time first: a fraction, a percentage, or `all`.',
    fallback: 1 / 30,
    shownDefault: '1/30',
    example: '1/30',
    parse: share,
  }),
  BACKUP_WEBHOOK_URL: variable({
    section: 'Announcements',
    about: 'Where the outcome of each run is posted as JSON; see [webhook.md](webhook.md).',
    fallback: undefined,
    shownDefault: 'none',
    example: 'https://hooks.example.com/backups',
    secret: true,
    parse: webhookAddress,
  }),
  BACKUP_WEBHOOK_SECRET: variable({
    section: 'Announcements',
    about: 'Signs each posted message, so that the receiver can tell that it is genuine.',
    fallback: undefined,
    shownDefault: 'none: not signed',
    example: '"a long random text"',
    secret: true,
    parse: secret,
  }),
  DASHBOARD_HOST: variable({
    section: 'Dashboard',
    about:
      'Where the dashboard listens. Anything but this machine itself needs `DASHBOARD_USER` and `DASHBOARD_PASSWORD`.',
    fallback: '127.0.0.1',
    shownDefault: '127.0.0.1',
    example: '127.0.0.1',
    parse: host,
  }),
  DASHBOARD_PORT: variable({
    section: 'Dashboard',
    about: 'Its port; 0 takes any free one.',
    fallback: 3000,
    shownDefault: '3000',
    example: '3000',
    parse: wholeNumber(0, 65_535),
  }),
  DASHBOARD_USER: variable({
    section: 'Dashboard',
    about: 'The user name that the dashboard asks for.',
    fallback: undefined,
    shownDefault: 'none',
    example: 'admin',
    parse: text,
  }),
  DASHBOARD_PASSWORD: variable({
    section: 'Dashboard',
    about: 'The password that the dashboard asks for.',
    fallback: undefined,
    shownDefault: 'none',
    example: '"a long random text"',
    secret: true,
    parse: secret,
  }),
  BACKUP_API_TOKEN: variable({
    section: 'Dashboard',
    about:
      'What programs show that ask for backups over HTTP ([api.md](api.md)): at least 24 characters, for example from `openssl rand -hex 32`.',
    fallback: undefined,
    shownDefault: 'none: the API is off',
    example: 'c5a7be24e6f9a3b08f1d0c5a',
    secret: true,
    parse: token,
  }),
  WORKER_STEPS: variable({
    section: 'Workers',
    about:
      'The steps that a worker serves, separated by commas: `schedule`, `run`, `dump`, `compress`, `encrypt`, `upload`, `seal`, `verify`, `prune`, `notify`, `copy`, `scrub`. Each step needs some worker; `status` names those that have none.',
    fallback: steps,
    shownDefault: 'all',
    example: 'compress,encrypt,upload',
    parse: stepList,
  }),
  WORKER_LOCK_DURATION: variable({
    section: 'Workers',
    about: 'Milliseconds after which the job of a worker that has gone silent may be taken over.',
    fallback: 60_000,
    shownDefault: '60000',
    example: '60000',
    parse: wholeNumber(1000, 3_600_000),
  }),
  WORKER_STALLED_INTERVAL: variable({
    section: 'Workers',
    about: 'Milliseconds between two looks for such jobs.',
    fallback: 15_000,
    shownDefault: '15000',
    example: '15000',
    parse: wholeNumber(1000, 3_600_000),
  }),
  WORKER_RETRY_DELAY: variable({
    section: 'Workers',
    about: 'Milliseconds before a failed job is tried again; each further wait is twice as long.',
    fallback: 5000,
    shownDefault: '5000',
    example: '5000',
    parse: wholeNumber(10, 600_000),
  }),
  ...concurrencyVariables(),
}

/** The name of a variable of the table. */
export type VariableName = keyof typeof variables

/** What each variable came to. */
export type Values = { readonly [Name in VariableName]: (typeof variables)[Name]['fallback'] }

/** `WORKER_CONCURRENCY_DUMP` for `dump`. */
export function concurrencyVariable<const One extends Step>(step: One) {
  return `WORKER_CONCURRENCY_${step.toUpperCase() as Uppercase<One>}` as const
}

function concurrencyVariables() {
  const usual: Record<Step, number> = {
    schedule: 4,
    run: 4,
    dump: 1,
    compress: 2,
    encrypt: 2,
    upload: 4,
    seal: 2,
    verify: 1,
    prune: 1,
    notify: 2,
    copy: 1,
    scrub: 1,
  }
  const entries = steps.map((step) => {
    const facts = variable({
      section: 'Workers',
      about: `How many ${step} jobs one worker does at a time.`,
      fallback: usual[step],
      shownDefault: String(usual[step]),
      example: String(usual[step]),
      parse: wholeNumber(1, 64),
    })
    return [concurrencyVariable(step), facts] as const
  })
  return Object.fromEntries(entries) as Record<
    `WORKER_CONCURRENCY_${Uppercase<Step>}`,
    (typeof entries)[number][1]
  >
}
