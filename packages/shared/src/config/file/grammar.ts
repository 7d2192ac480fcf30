import { z } from 'zod'
import { compressionLevels, usualLevels } from '../compression.ts'
import { cron } from '../cron.ts'
import { bandwidth, boolean, bucket, endpoint, name, oneOf } from '../parsers.ts'
import { path, prefix, text, wholeNumber } from '../parsers.ts'
import { share } from '../share.ts'
import { timeZone } from '../time.ts'
import { Wrong } from '../wrong.ts'

/**
 * What may stand in `backup.config.yaml`. Each value is read by the parser of the environment variable that means
 * the same, so that one rule and one sentence hold for both.
 */

/** What editors may offer and refuse; a variable, `${NAME}`, may stand in place of any value. */
type Shape = Readonly<Record<string, unknown>>

const variable = { type: 'string', pattern: '\\$\\{' }
const anyText: Shape = { type: 'string' }
const among = (...words: readonly unknown[]): Shape => ({ anyOf: [{ enum: words }, variable] })
const between = (minimum: number, maximum: number): Shape => ({
  type: ['integer', 'string'],
  minimum,
  maximum,
})

/** A single value, read by `parse` from its text. */
function value<Value>(parse: (text: string) => Value, example: string, about: string, shape = anyText) {
  return z
    .preprocess(
      (given) => (typeof given === 'number' || typeof given === 'boolean' ? String(given) : given),
      z.string({ error: 'it is not a single value' }).transform((given, context) => {
        try {
          return parse(given.trim())
        } catch (error) {
          if (!(error instanceof Wrong)) throw error
          const remedy = error.remedy ?? `Write for example ${example}.`
          context.addIssue({ code: 'custom', message: error.message, params: { remedy } })
          return z.NEVER
        }
      }),
    )
    .meta({ description: about, ...shape, examples: [example] })
}

/** One value or a list of them; `false` is the empty list. */
function list<Value>(one: z.ZodType<Value>, about: string, shape = anyText) {
  return z
    .preprocess(
      (given) => (given === false ? [] : Array.isArray(given) || given === undefined ? given : [given]),
      z.array(one),
    )
    .meta({
      description: about,
      anyOf: [shape, { type: 'array', items: shape }, { const: false }],
      examples: exampleOf(one),
    })
}

/** Those that `value` gave. */
function exampleOf(one: z.ZodType): unknown {
  return one.meta()?.['examples']
}

/** A map whose keys are names of ours. */
function named<Value extends z.ZodType>(entry: Value) {
  return z.record(z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, notAName), entry)
}

const notAName = 'the name is not one of 1 to 64 letters, digits, “-” and “_”'
const days = wholeNumber(1, 36_500)
const count = wholeNumber(1, 10_000)
const algorithm = oneOf('none', 'zstd', 'gzip')
const algorithms = among('none', 'zstd', 'gzip')
const cipher = oneOf('none', 'aes-256-gcm', 'aes-256-cbc')

const kept = (example: string, about: string) => value(count, example, about, between(1, 10_000)).optional()

const patterns = (about: string) => list(value(pattern, 'audit.*', about), about)

/** `name` or `schema.name`, in which `*` and `?` stand for any characters, as pg_dump has them. */
function pattern(given: string): string {
  if (/^(?:"(?:[^"]|"")+"|[^\s".]+)(?:\.(?:"(?:[^"]|"")+"|[^\s".]+))?$/.test(given)) return given
  throw new Wrong(`“${given}” is not a pattern of names: name or schema.name, with * and ?`)
}

const settingsShape = {
  schedule: list(
    value(cron, '"0 2 * * *"', 'Five fields, or a name such as @daily.'),
    'When backups are made: one cron expression or several; false for none.',
  ).optional(),
  timeZone: value(
    timeZone,
    'Europe/Amsterdam',
    'The IANA time zone in which schedules are meant.',
  ).optional(),
  spreadMinutes: value(
    wholeNumber(0, 720),
    '10',
    'Schedules begin up to so many minutes later, always the same for one source, so that a fleet does not start at once.',
    between(0, 720),
  ).optional(),
  latenessHours: value(
    wholeNumber(0, 8760),
    '12',
    'A backup whose time passed while nothing ran is made late, if it is not later than this.',
    between(0, 8760),
  ).optional(),
  overlap: value(
    oneOf('skip', 'again'),
    'skip',
    'What becomes of a request while a backup of the source is under way: skip it, or make one more afterwards.',
    among('skip', 'again'),
  ).optional(),
  retention: z
    .strictObject({
      days: value(
        days,
        '30',
        'Backups that are younger than so many days are kept.',
        between(1, 36_500),
      ).optional(),
      last: kept('10', 'So many of the newest backups are kept.'),
      daily: kept('7', 'Of each of so many days that have a backup, the newest backup is kept.'),
      weekly: kept('4', 'The same of weeks, which begin on Monday.'),
      monthly: kept('12', 'The same of months.'),
      yearly: kept('3', 'The same of years.'),
      minimum: value(
        count,
        '3',
        'How many of the newest good backups are kept whatever their age.',
        between(1, 10_000),
      ).optional(),
    })
    .optional(),
  scrub: z
    .strictObject({
      schedule: list(
        value(cron, '"0 4 * * *"', 'Five fields, or a name such as @daily.'),
        'When stored segments are read back ([scrubbing.md](scrubbing.md)), in the source’s zone: one cron expression or several; false for none.',
      ).optional(),
      share: value(
        share,
        '1/30',
        'Which part of them each time, those first that were not for the longest time: a fraction, a percentage, or all.',
      ).optional(),
    })
    .optional(),
  compression: z
    .preprocess(
      (given) => (typeof given === 'object' || given === undefined ? given : { algorithm: given }),
      z.strictObject({
        algorithm: value(algorithm, 'zstd', 'none, zstd or gzip.', algorithms).optional(),
        level: value(
          wholeNumber(1, compressionLevels.zstd.highest),
          '2',
          `1 to 19 for zstd, 1 to 9 for gzip; default: ${usualLevels}.`,
          between(1, compressionLevels.zstd.highest),
        ).optional(),
      }),
    )
    .meta({ description: 'The algorithm alone, or a map.', orScalar: algorithms, examples: ['zstd'] })
    .optional(),
  encryption: value(
    (given) => (/^(?:aes|none)/i.test(given) ? cipher(given) : boolean(given) ? 'aes-256-gcm' : 'none'),
    'aes-256-gcm',
    'none, aes-256-gcm or aes-256-cbc; true means aes-256-gcm.',
    among('none', 'aes-256-gcm', 'aes-256-cbc', true, false),
  ).optional(),
  fingerprint: value(
    oneOf('counts', 'checksums', 'off'),
    'checksums',
    'What is recorded for the comparison after a restore.',
    among('counts', 'checksums', 'off'),
  ).optional(),
  destinations: list(
    value(name, 'local', 'A destination’s name.'),
    'Where backups go; default: everywhere.',
  ).optional(),
  notify: list(
    value(oneOf('log', 'webhook'), 'webhook', 'A channel.'),
    'Where outcomes are told; default: every channel that is configured.',
    among('log', 'webhook'),
  ).optional(),
  include: z
    .strictObject({
      schemas: patterns('Only these schemas are backed up.').optional(),
      tables: patterns('Only these tables are backed up.').optional(),
    })
    .optional(),
  exclude: z
    .strictObject({
      databases: list(
        value(text, 'scratch*', 'A name with * and ?.'),
        'Databases that “*” leaves out.',
      ).optional(),
      schemas: patterns('Schemas that are left out.').optional(),
      tables: patterns('Tables that are left out.').optional(),
      tableData: patterns('Tables whose rows are left out.').optional(),
    })
    .optional(),
}

const connectionText = (about: string) =>
  z
    .string({ error: 'it is not a connection string' })
    .min(1, 'it is empty')
    .meta({ description: about, examples: ['postgresql://backup@db.example.com:5432/shop'] })

const source = z.strictObject({
  url: connectionText('The database as a connection string.').optional(),
  server: value(name, 'main', 'The server that the database is on, by its name here.').optional(),
  database: value(text, 'shop', 'The database’s name on that server, or * for every one of them.').optional(),
  ...settingsShape,
})

const server = z.strictObject({
  url: connectionText('The server as a connection string.'),
  runs: value(
    wholeNumber(1, 1000),
    '2',
    'The most backups of its databases that are made at a time.',
    between(1, 1000),
  ).optional(),
})

/** Resolved where the working directory is known. */
function directory(given: string): string {
  return path(given, '/') && given
}

/** One value that may be left out. */
const maybe = <Value>(parse: (text: string) => Value, example: string, about: string, shape?: Shape) =>
  value(parse, example, about, shape).optional()
const maybeBoolean = (example: string, about: string) => maybe(boolean, example, about, among(true, false))

/** Which of these a kind has, and what it must have, is said where destinations are put together. */
const destination = z
  .strictObject({
    kind: value(
      oneOf('local', 's3', 'azure', 'gcs'),
      'local',
      'What kind of place it is; [destinations.md](destinations.md) tells of each.',
      among('local', 's3', 'azure', 'gcs'),
    ),
    uploads: maybe(
      wholeNumber(1, 1000),
      '4',
      'The most batches that all workers together store there at a time.',
      between(1, 1000),
    ),
    bandwidth: maybe(
      bandwidth,
      '20MB',
      'The most bytes a second that all workers together send there and read from there.',
    ),
    directory: maybe(
      directory,
      '/srv/backups',
      'local: the directory of the repository; a relative one starts at the working directory.',
    ),
    bucket: maybe(bucket, 'company-backups', 's3, gcs: the bucket.'),
    container: maybe(bucket, 'backups', 'azure: the container.'),
    prefix: maybe(prefix, 'production', 'What comes before the names of all objects.'),
    endpoint: maybe(
      endpoint,
      'https://s3.example.com',
      'Where the store listens, if not where its provider usually does.',
    ),
    allowHttp: maybeBoolean('true', 'Allows an endpoint without TLS.'),
    patienceSeconds: maybe(
      wholeNumber(1, 3600),
      '60',
      'A connection on which nothing moves for so long is given up; default: 60.',
      between(1, 3600),
    ),
    storageClass: maybe(
      text,
      'STANDARD_IA',
      'Storage class (s3, gcs) or access tier (azure) of what is stored; one that can be read at once.',
    ),
    region: maybe(text, 'eu-central-1', 's3: the region; default: that of the provider’s own settings.'),
    pathStyle: maybeBoolean(
      'true',
      's3: https://host/bucket instead of https://bucket.host; default: true with an endpoint of one’s own.',
    ),
    encryption: maybe(
      oneOf('sse-s3', 'sse-kms', 'sse-c'),
      'sse-kms',
      's3: how the store encrypts what it keeps, besides the encryption of this product.',
      among('sse-s3', 'sse-kms', 'sse-c'),
    ),
    kmsKey: maybe(text, 'alias/backups', 's3, with sse-kms: the key; default: the account’s own.'),
    customerKey: maybe(
      text,
      '${BACKUP_CUSTOMER_KEY}',
      's3, with sse-c: 32 bytes in base64; without them nothing there can be read.',
    ),
    objectLock: z
      .strictObject({
        mode: maybe(
          oneOf('governance', 'compliance'),
          'compliance',
          'Who may lift the lock: some users, or nobody.',
          among('governance', 'compliance'),
        ),
        days: maybe(
          days,
          '40',
          'Days for which each backup cannot be removed, counted from when it was made; locks last a quarter longer.',
          between(1, 36_500),
        ),
      })
      .optional(),
    checksums: maybe(
      oneOf('sha256', 'md5'),
      'md5',
      's3: what the store compares arriving bytes with; md5 for stores that refuse the newer headers.',
      among('sha256', 'md5'),
    ),
    conditionalWrites: maybeBoolean('false', 's3: false for a store without If-None-Match.'),
    accessKeyId: maybe(
      text,
      '${S3_ACCESS_KEY_ID}',
      's3: the access key; default: the provider’s usual chain.',
    ),
    secretAccessKey: maybe(text, '${S3_SECRET_ACCESS_KEY}', 's3: its secret.'),
    sessionToken: maybe(text, '${S3_SESSION_TOKEN}', 's3: of temporary keys.'),
    profile: maybe(text, 'backups', 's3: a profile of ~/.aws.'),
    account: maybe(name, 'companybackups', 'azure: the storage account.'),
    accountKey: maybe(text, '${AZURE_ACCOUNT_KEY}', 'azure: one of the account’s two keys.'),
    connectionString: maybe(text, '${AZURE_CONNECTION_STRING}', 'azure: as the portal shows it.'),
    sas: maybe(text, '${AZURE_SAS}', 'azure: a shared access signature.'),
    identity: maybe(
      text,
      '00000000-0000-0000-0000-000000000000',
      'azure: the client id of a managed identity; default: the provider’s usual chain.',
    ),
    credentials: maybe(
      text,
      '/etc/securyflex/gcs.json',
      'gcs: the key file of a service account or the file of a workload identity, or its content.',
    ),
  })
  .meta({ examples: ['{ kind: local, directory: /srv/backups }'] })

/** The file as a whole. */
export const fileSchema = z
  .strictObject({
    defaults: z
      .strictObject(settingsShape)
      .describe('What holds for every source that says nothing else.')
      .optional(),
    destinations: named(destination).optional(),
    servers: named(server).optional(),
    sources: named(source).optional(),
    limits: z
      .strictObject({
        runs: value(
          wholeNumber(1, 1000),
          '10',
          'The most backups that are made at a time, on all workers.',
          between(1, 1000),
        ).optional(),
      })
      .optional(),
  })
  .meta({
    title: 'SecuryFlex Backup',
    description: 'The configuration of SecuryFlex Backup: backup.config.yaml.',
  })

export type FileContent = z.infer<typeof fileSchema>
export type FileSource = z.infer<typeof source>
export type FileDestination = z.infer<typeof destination>
/** What `defaults` and each source may say. */
export type FileSettings = NonNullable<FileContent['defaults']>
