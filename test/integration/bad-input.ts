/** Where a case of {@link badInput} happens: a repository with one backup of `shop`, and what leads there. */
export interface Place {
  /** BACKUP_DIR; `repository` in it holds the backup. */
  readonly directory: string
  /** Of the source, with a password. */
  readonly databaseUrl: string
  readonly key: string
  readonly run: string
  /** A port of loopback at which nothing listens. */
  readonly closedPort: number
  /** One that another program has. */
  readonly takenPort: number
  /** A role that may log in and nothing else. */
  readonly poorUrl: string
  /** Directories of client tools: one without any, one with those of PostgreSQL 9.6. */
  readonly emptyDirectory: string
  readonly oldTools: string
  /** On a file system without a free byte; undefined where none can be made. */
  readonly fullDirectory: string | undefined
}

/** Something that people do wrong, and what they are told. docs/when-things-go-wrong.md has a row for each. */
export interface BadInput {
  /** As the page's row begins. */
  readonly what: string
  readonly args: (place: Place) => readonly string[]
  /** Changes to an environment that is right. */
  readonly env?: (place: Place) => Readonly<Record<string, string>>
  /** The whole first line on standard error. */
  readonly says: RegExp
  /** The second. */
  readonly remedy: RegExp
  readonly status: number
  /** It needs a file system that is full. */
  readonly full?: true
}

const restoring = () => ['restore', 'latest', '--to', 'restored', '--yes']
const withDatabase = (change: (url: URL) => void) => (place: Place) => {
  const url = new URL(place.databaseUrl)
  change(url)
  return { DATABASE_URL: url.href }
}

export const badInput: readonly BadInput[] = [
  {
    what: 'a schedule that cannot be: `BACKUP_CRON="61 * * * *"`',
    args: () => ['status'],
    env: () => ({ BACKUP_CRON: '61 * * * *' }),
    says: /^BACKUP_CRON: the minute “61” of “61 \* \* \* \*” is not possible \(0 to 59\)\.$/,
    remedy: /^Write for example BACKUP_CRON="0 2 \* \* \*"\.$/,
    status: 2,
  },
  {
    what: 'a time zone with a slip: `BACKUP_TIMEZONE=Europe/Amsterdm`',
    args: () => ['status'],
    env: () => ({ BACKUP_TIMEZONE: 'Europe/Amsterdm' }),
    says: /^BACKUP_TIMEZONE: “Europe\/Amsterdm” is not a known time zone; the nearest is Europe\/Amsterdam\.$/,
    remedy: /^Write for example BACKUP_TIMEZONE=Europe\/Amsterdam\.$/,
    status: 2,
  },
  {
    what: 'a variable that does not exist: `BACKUP_ENCRYPTON=true`',
    args: () => ['list'],
    env: () => ({ BACKUP_ENCRYPTON: 'true' }),
    says: /^BACKUP_ENCRYPTON: there is no such variable\.$/,
    remedy: /^The nearest known is BACKUP_ENCRYPTION; correct the name or unset it\.$/,
    status: 2,
  },
  {
    what: 'a command with a slip: `restor`',
    args: () => ['restor', 'latest'],
    says: /^Unknown command 'restor'\.$/,
    remedy: /^Did you mean restore\? All that is possible: npx --no securyflex-backup --help$/,
    status: 2,
  },
  {
    what: 'an option with a slip: `verify latest --ful`',
    args: () => ['verify', 'latest', '--ful'],
    says: /^Unknown option '--ful'\.$/,
    remedy: /^Did you mean --full\? All that is possible: npx --no securyflex-backup verify --help$/,
    status: 2,
  },
  {
    what: 'a wrong password in `DATABASE_URL`',
    args: restoring,
    env: withDatabase((url) => (url.password = 'wrong')),
    says: /^The server [\d.]+:\d+ refused the password of user "\w+"\.$/,
    remedy: /^Correct the user or the password in DATABASE_URL; a password in a URL is percent-encoded\.$/,
    status: 4,
  },
  {
    what: 'an unknown host in `DATABASE_URL`',
    args: restoring,
    env: withDatabase((url) => (url.hostname = 'nosuch.invalid')),
    says: /^The host "nosuch\.invalid" (?:is unknown|could not be looked up)\.$/,
    remedy:
      /^(?:Correct the host in DATABASE_URL|Check the name server of this machine, and the host in DATABASE_URL)\.$/,
    status: 4,
  },
  {
    what: 'a server that does not run',
    args: restoring,
    env: (place) => withDatabase((url) => (url.port = String(place.closedPort)))(place),
    says: /^Nothing answers at [\d.]+:\d+: the connection was refused\.$/,
    remedy: /^Start PostgreSQL there, or correct host and port in DATABASE_URL\.$/,
    status: 4,
  },
  {
    what: 'a role that may not create a database',
    args: restoring,
    env: ({ poorUrl }) => ({ DATABASE_URL: poorUrl }),
    says: /^The role "\w+" may not create a database\.$/,
    remedy: /^Type as a superuser: ALTER ROLE "\w+" CREATEDB;$/,
    status: 4,
  },
  {
    what: 'a database of that name is there already',
    args: () => ['restore', 'latest', '--to', 'postgres', '--yes'],
    says: /^The database "\w+" exists already\.$/,
    remedy: /^Choose another name with --to; nothing was changed\.$/,
    status: 4,
  },
  {
    what: 'no client tools of PostgreSQL',
    args: restoring,
    env: ({ emptyDirectory }) => ({ BACKUP_PG_BIN_DIR: emptyDirectory }),
    says: /^PostgreSQL's client tools \(pg_dump, pg_dumpall, pg_restore, psql\) were not found in \S+\.$/,
    remedy: /^Install it: \S.* and correct BACKUP_PG_BIN_DIR\.$/,
    status: 4,
  },
  {
    what: 'client tools that are too old',
    args: restoring,
    env: ({ oldTools }) => ({ BACKUP_PG_BIN_DIR: oldTools }),
    says: /^PostgreSQL \d+ needs client tools of version \d+ or newer, and the newest in \S+ is 9\.6\.24\.$/,
    remedy: /^Install it: \S.* and correct BACKUP_PG_BIN_DIR\.$/,
    status: 4,
  },
  {
    what: '`restore` without a name for the new database',
    args: () => ['restore', 'latest'],
    says: /^Nothing is restored over an existing database: the name of a new one is missing\.$/,
    remedy: /^Type for example: npm run backup:restore -- latest --to \w+_restored$/,
    status: 2,
  },
  {
    what: '`restore` without `--yes` where nobody can be asked',
    args: () => ['restore', 'latest', '--to', 'restored'],
    says: /^Restore shop\.\S+ \(.*\) into a new database "\w+" on \S+\? Nobody can be asked here, so nothing was done\.$/,
    remedy: /^If that is meant, type: npm run backup:restore -- latest --to \w+ --yes$/,
    status: 2,
  },
  {
    what: 'a file that does not exist',
    args: () => ['restore', './missing.json', '--to', 'restored', '--yes'],
    says: /^There is neither a backup nor a file “\.\/\S+”\.$/,
    remedy:
      /^Write “latest”, the id of a run or the path of a manifest or dump; see the backups with: npx --no securyflex-backup list$/,
    status: 3,
  },
  {
    what: 'a directory instead of a file',
    args: ({ directory }) => ['restore', directory, '--to', 'restored', '--yes'],
    says: /^\S+ is a directory\.$/,
    remedy:
      /^Name a manifest in it \(<source>\/backups\/<run>\.json\), or set BACKUP_DIR to the directory that holds “repository” and write latest\.$/,
    status: 3,
  },
  {
    what: 'an empty file',
    args: () => ['restore', './empty.json', '--to', 'restored', '--yes'],
    says: /^\.\/\S+ is empty\.$/,
    remedy:
      /^A manifest is <repository>\/<source>\/backups\/<run>\.json; see the backups with: npx --no securyflex-backup list$/,
    status: 3,
  },
  {
    what: 'a dump that is cut off',
    args: () => ['restore', './shop.sql', '--to', 'restored', '--yes'],
    says: /^\.\/\S+ is cut off: the last line of pg_dump is missing\.$/,
    remedy:
      /^Use another dump; if you took its end off yourself, add the line “-- PostgreSQL database dump complete”\.$/,
    status: 7,
  },
  {
    what: 'a file that is neither a backup nor a dump',
    args: () => ['restore', './notes.txt', '--to', 'restored', '--yes'],
    says: /^\.\/\S+ is neither a backup nor a dump of PostgreSQL: it begins with "Dear diary, toda"\.$/,
    remedy: /^See what it is with: file \.\/\S+$/,
    status: 3,
  },
  {
    what: 'an existing file to `export` to',
    args: () => ['export', 'latest', '--output', './shop.sql'],
    says: /^\.\/\S+ is there already\.$/,
    remedy: /^Name another file with --output, or replace it with --force\.$/,
    status: 2,
  },
  {
    what: 'a backup that does not exist',
    args: () => ['verify', 'shop.20200101T000000Z.0000'],
    says: /^There is no backup “shop\.\S+” in \S+\.$/,
    remedy: /^See what there is with: npx --no securyflex-backup list$/,
    status: 3,
  },
  {
    what: '`copy` to a destination that does not exist',
    args: () => ['copy', 'latest', '--to', 'mars'],
    says: /^There is no destination “mars”\.$/,
    remedy: /^Write one of: --to local\.$/,
    status: 2,
  },
  {
    what: '`restore`, `list`, `verify` or `export` from a destination that does not exist',
    args: () => ['restore', 'latest', '--destination', 'mars', '--to', 'restored', '--yes'],
    says: /^There is no destination “mars”\.$/,
    remedy: /^Write one of: local\.$/,
    status: 2,
  },
  {
    what: 'a dump with `--destination`',
    args: () => ['restore', './shop.sql', '--destination', 'local', '--yes'],
    says: /^\.\/shop\.sql is a file, and is at no destination\.$/,
    remedy: /^Leave --destination out, or write “latest” or the id of a run\.$/,
    status: 2,
  },
  {
    what: '`scrub --share half`',
    args: () => ['scrub', '--share', 'half'],
    says: /^“half” is no part of all: a fraction such as 1\/30, a percentage such as 10%, or all\.$/,
    remedy: /^Write for example --share 1\/30\.$/,
    status: 2,
  },
  {
    what: 'a source that does not exist: `enqueue-job nosuch`',
    args: () => ['enqueue-job', 'nosuch'],
    says: /^There is no source “nosuch”\.$/,
    remedy: /^Write one of: \S+\.$/,
    status: 3,
  },
  {
    what: 'a wrong key',
    args: restoring,
    env: ({ key }) => ({ BACKUP_ENCRYPTION_KEY: `0123456789abcdef${key.slice(16)}` }),
    says: /^None of the configured keys opens the key record [0-9a-f]{32}\.$/,
    remedy:
      /^Set BACKUP_ENCRYPTION_KEY, or add the old key to BACKUP_ENCRYPTION_KEY_PREVIOUS, then try: npx --no securyflex-backup key check$/,
    status: 7,
  },
  {
    what: 'no key for an encrypted backup',
    args: restoring,
    env: () => ({ BACKUP_ENCRYPTION: 'false', BACKUP_ENCRYPTION_KEY: '' }),
    says: /^The key record [0-9a-f]{32} needs a key, and none is configured\.$/,
    remedy:
      /^Set BACKUP_ENCRYPTION_KEY \(or BACKUP_ENCRYPTION_KEY_FILE\); a new key is made with: npx --no securyflex-backup key generate$/,
    status: 7,
  },
  {
    what: 'a key record that is damaged, at any destination',
    args: () => ['prune', '--dry-run'],
    env: () => ({ BACKUP_DIR: './spoilt-record' }),
    says: /^keys\/[0-9a-f]{32}\.json at local \(\/\S+\) is damaged: it cannot be read\.$/,
    remedy:
      /^Mend it with: npx --no securyflex-backup scrub --destination local \(or move that one file out of there; the next run writes one again\)\.$/,
    status: 7,
  },
  {
    what: 'a `repository.json` that is damaged, at any destination',
    args: () => ['prune', '--dry-run'],
    env: () => ({ BACKUP_DIR: './spoilt-repository' }),
    says: /^repository\.json at local \(\/\S+\) is damaged: it cannot be read\.$/,
    remedy: /^Move that one file out of there; the next run writes it again\.$/,
    status: 7,
  },
  {
    what: 'a weak key: `BACKUP_ENCRYPTION_KEY=secret`',
    args: () => ['key', 'check'],
    env: () => ({ BACKUP_ENCRYPTION_KEY: 'secret' }),
    says: /^BACKUP_ENCRYPTION_KEY: the key is too weak: it has 6 characters, and a passphrase needs at least 16\.$/,
    remedy: /^Make one with: npx --no securyflex-backup key generate$/,
    status: 7,
  },
  {
    what: 'Redis is down',
    args: () => ['enqueue-job', 'shop'],
    env: ({ closedPort }) => ({ REDIS_URL: `redis://127.0.0.1:${String(closedPort)}` }),
    says: /^Redis at redis:\/\/127\.0\.0\.1:\d+ does not answer: connect ECONNREFUSED 127\.0\.0\.1:\d+\.$/,
    remedy:
      /^Start it, or the whole service with: npm start\. Without REDIS_URL, npm run backup brings its own\.$/,
    status: 5,
  },
  {
    what: 'the service does not run',
    args: () => ['enqueue-job', 'shop'],
    says: /^No service runs on \S+, and REDIS_URL is not set\.$/,
    remedy: /^Start it in another terminal with: npm start$/,
    status: 5,
  },
  {
    what: '`BACKUP_DIR` is a file',
    args: () => ['list'],
    env: ({ oldTools }) => ({ BACKUP_DIR: `${oldTools}/pg_dump` }),
    says: /^\S+ is not a directory\.$/,
    remedy: /^Set BACKUP_DIR to a directory; it is created if it does not exist\.$/,
    status: 6,
  },
  {
    what: '`BACKUP_DIR` cannot be written',
    args: () => ['backup'],
    env: () => ({ BACKUP_DIR: '/sys/backups' }),
    says: /^\/\S+ cannot be written \(\w+\)\.$/,
    remedy: /^Set BACKUP_DIR to a directory that this user may write to\.$/,
    status: 6,
  },
  {
    what: '`BACKUP_DIR` is full',
    args: () => ['backup'],
    env: ({ fullDirectory = '' }) => ({ BACKUP_DIR: `${fullDirectory}/backups` }),
    says: /^\/\S+ cannot be written \(ENOSPC\)\.$/,
    remedy: /^Make room there\.$/,
    status: 6,
    full: true,
  },
  {
    what: 'a port that another program has',
    args: () => ['dashboard'],
    env: ({ takenPort, closedPort }) => ({
      REDIS_URL: `redis://127.0.0.1:${String(closedPort)}`,
      DASHBOARD_PORT: String(takenPort),
    }),
    says: /^Port \d+ of 127\.0\.0\.1 is taken by another program\.$/,
    remedy: /^Take another one: DASHBOARD_PORT=\d+ npm start$/,
    status: 2,
  },
  {
    what: '`BACKUP_CLOUD_PROVIDER` without a bucket',
    args: () => ['status'],
    env: () => ({ BACKUP_CLOUD_PROVIDER: 'aws' }),
    says: /^BACKUP_CLOUD_BUCKET: it is missing\.$/,
    remedy: /^Set for example BACKUP_CLOUD_BUCKET=company-backups\.$/,
    status: 2,
  },
  {
    what: 'an endpoint without TLS: `http://…`',
    args: () => ['status'],
    env: () => ({
      BACKUP_CLOUD_PROVIDER: 'aws',
      BACKUP_CLOUD_BUCKET: 'company-backups',
      BACKUP_CLOUD_ENDPOINT: 'http://s3.example.com',
    }),
    says: /^BACKUP_CLOUD_ENDPOINT: it is plain HTTP: whoever is on the way can read, change and remove what passes\.$/,
    remedy: /^Write https:\/\/, or allow it for a network of your own: BACKUP_CLOUD_ALLOW_HTTP=true\.$/,
    status: 2,
  },
  {
    what: '`destination add --set` without a value',
    args: () => ['destination', 'add', 'offsite', '--kind', 's3', '--set', 'bucket'],
    says: /^“bucket” is not a setting with a value\.$/,
    remedy: /^Write for example --set bucket=company-backups$/,
    status: 2,
  },
  {
    what: 'a setting of the file with a slip: `ur` for `url`',
    args: () => ['config', 'show'],
    env: () => ({ BACKUP_CONFIG: './slip.yaml' }),
    says: /^\S+\.yaml:3 sources\.wiki\.ur: there is no such setting\.$/,
    remedy: /^The nearest known is url; correct the name or remove it\.$/,
    status: 2,
  },
  {
    what: 'a file that is no YAML',
    args: () => ['config', 'check'],
    env: () => ({ BACKUP_CONFIG: './broken.yaml' }),
    says: /^\S+\.yaml:2: \S.*\.$/,
    remedy:
      /^Correct the line; a value with “:”, “#” or “\*” needs quotation marks, for example database: "\*"\.$/,
    status: 2,
  },
  {
    what: 'a file that an editor or a full disk has emptied',
    args: () => ['config', 'check'],
    env: () => ({ BACKUP_CONFIG: './empty.yaml' }),
    says: /^\S+\.yaml:1: the file is empty\.$/,
    remedy: /^Write for example sources: \{ shop: \{ url: \S+ \} \}, or remove the file\.$/,
    status: 2,
  },
  {
    what: 'a `*` without quotation marks: `tables: *scratch`',
    args: () => ['config', 'show'],
    env: () => ({ BACKUP_CONFIG: './star.yaml' }),
    says: /^\S+\.yaml:4 sources\.wiki\.exclude\.tables: “\*scratch” stands for what is marked “&scratch”, and nothing before it is\.$/,
    remedy: /^Where the sign “\*” is meant, use quotation marks: "\*scratch"\.$/,
    status: 2,
  },
  {
    what: 'a level that gzip does not have',
    args: () => ['config', 'show'],
    env: () => ({ BACKUP_CONFIG: './level.yaml' }),
    says: /^\S+\.yaml:4 sources\.wiki\.compression\.level: gzip’s levels are 1 to 9\.$/,
    remedy: /^Write for example level: 6\.$/,
    status: 2,
  },
  {
    what: 'a variable in the wrong place: `schedule: ${SHOP_PASSWORD}`',
    args: () => ['config', 'show'],
    env: () => ({ BACKUP_CONFIG: './misplaced.yaml', SHOP_PASSWORD: 'hunter2' }),
    says: /^\S+\.yaml:4 sources\.wiki\.schedule\.0: “\$\{SHOP_PASSWORD\}” has 1 field, and a schedule has five: minute, hour, day of the month, month, day of the week\.$/,
    remedy: /^Write for example "0 2 \* \* \*"\.$/,
    status: 2,
  },
  {
    what: '`BACKUP_CONFIG` names a file that is not there',
    args: () => ['config', 'check'],
    env: () => ({ BACKUP_CONFIG: './missing.yaml' }),
    says: /^BACKUP_CONFIG: \S+\/missing\.yaml cannot be read \(ENOENT\)\.$/,
    remedy: /^Correct the path, or the permissions of the file\.$/,
    status: 2,
  },
  {
    what: 'a part of a command with a slip: `config schem`',
    args: () => ['config', 'schem'],
    says: /^Unknown command 'schem'\.$/,
    remedy: /^Did you mean schema\? All that is possible: npx --no securyflex-backup --help$/,
    status: 2,
  },
  {
    what: '`init` where nobody can be asked',
    args: () => ['init'],
    says: /^Nobody can be asked here, so nothing was written\.$/,
    remedy: /^Type for example: npx --no securyflex-backup init --url postgresql:\S+ --yes$/,
    status: 2,
  },
  {
    what: '`source add` of a database that is a source already',
    args: ({ databaseUrl }) => ['source', 'add', databaseUrl, '--name', 'other'],
    says: /^That database is a source already: “shop”\.$/,
    remedy: /^To give it more than one schedule, list them: schedule: \["0 2 \* \* \*", "0 14 \* \* \*"\]\.$/,
    status: 2,
  },
  {
    what: '`source add` under a name that is taken',
    args: ({ poorUrl }) => ['source', 'add', poorUrl.replace(/[^/]*$/, 'wiki'), '--name', 'shop'],
    says: /^There is a source “shop” already\.$/,
    remedy: /^Give this one another name: --name shop-2$/,
    status: 2,
  },
  {
    what: '`source add` of a server that does not answer',
    args: ({ closedPort }) => [
      ...['source', 'add', `postgresql://shop@127.0.0.1:${String(closedPort)}/wiki`],
    ],
    says: /^Nothing answers at 127\.0\.0\.1:\d+: the connection was refused\.$/,
    remedy: /^Start PostgreSQL there, or correct host and port in the connection string\.$/,
    status: 4,
  },
  {
    what: '`source add` of something else: `mysql://…`',
    args: () => ['source', 'add', 'mysql://shop@db.example.com/wiki'],
    says: /^The connection string is not one of PostgreSQL\.$/,
    remedy: /^Write it like postgresql:\/\/backup@db\.example\.com:5432\/shop\.$/,
    status: 2,
  },
  {
    what: '`source add` with a schedule that cannot be',
    args: () => [...['source', 'add', 'postgresql://shop@db.example.com/wiki', '--schedule', '61 * * * *']],
    says: /^backup\.config\.yaml:\d+ sources\.wiki\.schedule\.0: the minute “61” of “61 \* \* \* \*” is not possible \(0 to 59\)\.$/,
    remedy: /^Write for example "0 2 \* \* \*"\.$/,
    status: 2,
  },
  {
    what: '`source add` to a destination that does not exist',
    args: () => [...['source', 'add', 'postgresql://shop@db.example.com/wiki', '--destination', 'mars']],
    says: /^backup\.config\.yaml:\d+ sources\.wiki\.destinations\.0: there is no destination “mars”\.$/,
    remedy: /^Describe it under destinations; the nearest known is local\.$/,
    status: 2,
  },
  {
    what: '`source add --exclude` for one database',
    args: () => ['source', 'add', 'postgresql://shop@db.example.com/wiki', '--exclude', 'scratch'],
    says: /^--exclude leaves databases out of all, and this is one database\.$/,
    remedy: /^Add --all, or leave --exclude out\.$/,
    status: 2,
  },
  {
    what: '`source add -` with nothing to read',
    args: () => ['source', 'add', '-'],
    says: /^Standard input is empty\.$/,
    remedy:
      /^Write the connection string into a file, and type: npx --no securyflex-backup source add - < <file>$/,
    status: 2,
  },
  {
    what: '`destination add` under a name that is taken',
    args: () => ['destination', 'add', 'local', '--directory', './nas'],
    says: /^There is “local” already, under destinations\.$/,
    remedy: /^Give it another name, or edit the file\.$/,
    status: 2,
  },
  {
    what: '`destination add` of a file',
    args: () => ['destination', 'add', 'nas', '--directory', './notes.txt'],
    says: /^\/\S+ is not a directory\.$/,
    remedy: /^Choose a directory; it is created if it does not exist\.$/,
    status: 6,
  },
  {
    what: '`destination add` of a place that cannot be written',
    args: () => ['destination', 'add', 'nas', '--directory', '/sys/nas'],
    says: /^\/sys\/nas cannot be written or read by this user\.$/,
    remedy: /^Check its owner and mode with ls -ld \/\S+, or choose a directory of your own\.$/,
    status: 6,
  },
]

/**
 * What only a run finds out, because the worker's machine and role count: `npm run backup` tells it at the run's
 * end, so does the webhook, and the run's report is all that is kept.
 */
export const badRuns: readonly BadInput[] = [
  {
    what: 'a role that may not read a table',
    args: () => ['backup'],
    env: ({ poorUrl }) => ({ DATABASE_URL: poorUrl }),
    says: /^The role "\w+" may not read 1 table of database "\w+": public\.item\.$/,
    remedy: /^Type as a superuser: GRANT pg_read_all_data TO "\w+";$/,
    status: 8,
  },
  {
    what: 'no `pg_dump`',
    args: () => ['backup'],
    env: ({ emptyDirectory }) => ({ BACKUP_PG_BIN_DIR: emptyDirectory }),
    says: /^PostgreSQL's client tools \(pg_dump, pg_dumpall, pg_restore, psql\) were not found in \S+\.$/,
    remedy: /^Install it: \S.* and correct BACKUP_PG_BIN_DIR\.$/,
    status: 8,
  },
  {
    what: 'a `pg_dump` that is too old',
    args: () => ['backup'],
    env: ({ oldTools }) => ({ BACKUP_PG_BIN_DIR: oldTools }),
    says: /^PostgreSQL \d+ needs client tools of version \d+ or newer, and the newest in \S+ is 9\.6\.24\.$/,
    remedy: /^Install it: \S.* and correct BACKUP_PG_BIN_DIR\.$/,
    status: 8,
  },
]
