import { BackupError, type ErrorClass, type ErrorCode } from '@securyflex/shared/errors'

interface Rule {
  readonly pattern: RegExp
  readonly code: ErrorCode
  readonly class?: ErrorClass
  /** `$1` is the pattern's first group. */
  readonly message: string
  readonly hint: string
}

/** Trouble with the connection, which every tool can meet; messages are libpq's. */
const connectionRules: readonly Rule[] = [
  {
    pattern: /server version mismatch/,
    code: 'TOOL_TOO_OLD',
    message: 'is older than the server',
    hint: "Install the client tools of the server's own version, and correct BACKUP_PG_BIN_DIR if it is set.",
  },
  {
    pattern: /password authentication failed|no password supplied/,
    code: 'DATABASE_REFUSED',
    message: 'was refused by the server: wrong or missing password',
    hint: 'Correct the password in DATABASE_URL.',
  },
  {
    pattern:
      /could not translate host name|Connection refused|connection to server .* failed: (?:timeout expired|No route)/,
    code: 'DATABASE_UNREACHABLE',
    message: 'could not reach the server',
    hint: 'Check that the server runs, and host and port in DATABASE_URL.',
  },
  {
    pattern: /remaining connection slots are reserved|too many (?:clients|connections)/,
    code: 'DATABASE_UNREACHABLE',
    message: 'found no free connection',
    hint: 'Close some, or raise max_connections; a backup needs three at a time.',
  },
  {
    pattern:
      /server closed the connection|connection to server was lost|terminating connection|no connection to the server|could not receive data|SSL SYSCALL error|SSL connection has been closed|lost synchronization/,
    code: 'DATABASE_UNREACHABLE',
    message: 'lost its connection to the server',
    hint: "Look into the server's log for a restart or a failover, and check the network.",
  },
]

const dumpRules: readonly Rule[] = [
  {
    pattern: /out of shared memory/,
    code: 'DATABASE_REFUSED',
    message: 'needs more locks than the server has room for, one for each table',
    hint: 'Raise max_locks_per_transaction in postgresql.conf (256 suffices for some 25,000 tables) and restart the server.',
  },
  {
    pattern: /canceling statement due to (?:lock|statement) timeout|could not obtain lock/,
    code: 'DUMP_FAILED',
    message: 'waited too long for a lock on a table',
    hint: "Look for a migration or VACUUM FULL that holds it (SELECT * FROM pg_locks WHERE mode = 'AccessExclusiveLock';), and run backups at another time.",
  },
  {
    pattern: /permission denied for (.+)/,
    code: 'DATABASE_REFUSED',
    message: 'may not read $1',
    hint: 'Type as a superuser: GRANT pg_read_all_data TO the role in DATABASE_URL (before version 14: GRANT SELECT ON …).',
  },
  {
    pattern: /affected by row-level security policy for table (.+)/,
    code: 'DATABASE_REFUSED',
    message: 'would miss rows that row security hides in $1',
    hint: 'Type as a superuser: ALTER ROLE … BYPASSRLS; for the role in DATABASE_URL.',
  },
  {
    pattern:
      /invalid snapshot identifier|snapshot "?[^"]*"? does not exist|could not import the requested snapshot/,
    code: 'SNAPSHOT_LOST',
    message: 'did not find the snapshot any more',
    hint: "Look into the server's log for why the connection that held it ended; behind a load balancer, name one server.",
  },
  {
    pattern: /conflict with recovery/,
    code: 'DUMP_FAILED',
    message: 'was cancelled on the standby, which had to replay a change',
    hint: 'Set hot_standby_feedback = on or max_standby_streaming_delay = -1 there, or back up the primary.',
  },
  {
    // A size of ten digits can be that of a value; damaged data give any number, mostly far larger ones.
    pattern: /Cannot enlarge string buffer|invalid memory alloc request size [12]\d{9}\b/,
    code: 'DUMP_FAILED',
    class: 'permanent',
    message: 'met a row or value of more than 1 GB as text, which PostgreSQL cannot write out',
    hint: 'Find it with SELECT ctid FROM the table ORDER BY pg_column_size(the column) DESC LIMIT 1, and store it as a large object or in parts.',
  },
  {
    pattern:
      /invalid page in block|could not read block|missing chunk number|unexpected chunk|invalid memory alloc/,
    code: 'DUMP_FAILED',
    class: 'permanent',
    message: 'met damaged data in the source',
    hint: "The database itself is damaged: keep the last good backup and look into the server's log.",
  },
  {
    pattern: /unrecognized (?:configuration parameter|option)|invalid option/,
    code: 'DUMP_FAILED',
    class: 'permanent',
    message: 'was given something that it does not know',
    hint: 'Check the parameters of DATABASE_URL, and the version of the client tools.',
  },
]

/** What takes an archive in spite of something that fails in it. */
const rescue =
  'npx --no securyflex-backup export latest --output rescue.dump && createdb rescued && pg_restore --dbname=rescued rescue.dump'

const restoreRules: readonly Rule[] = [
  {
    pattern: /insert or update on table (".+") violates foreign key constraint/,
    code: 'RESTORE_FAILED',
    message: 'found rows in $1 that violate a foreign key, as they did in the source',
    hint: `Correct these rows in the source and back up again; if it is lost, this leaves out only that foreign key: ${rescue}`,
  },
  {
    pattern: /can only create extension in database/,
    code: 'RESTORE_FAILED',
    message: 'needs a database of a certain name from the beginning, which a restore gives it at the end',
    hint: `Load it into that database by hand: ${rescue} (with its name instead of rescued).`,
  },
  {
    pattern: /backslash commands are restricted|\\unrestrict: /,
    code: 'RESTORE_FAILED',
    message: 'met a backslash command, which could start programs on this machine, and stopped',
    hint: 'Look at that line of the script; if you trust the file, add --allow-commands.',
  },
  {
    pattern: /unsupported version (\S+) in file header/,
    code: 'TOOL_TOO_OLD',
    message: 'is older than the pg_dump that made the archive (format $1)',
    hint: 'Install newer client tools, and correct BACKUP_PG_BIN_DIR if it is set.',
  },
  {
    pattern: /role (".+") does not exist/,
    code: 'RESTORE_FAILED',
    message: 'needs the role $1, which the server does not have',
    hint: "Create it (the backup's globals hold its definition), or restore without owners and privileges.",
  },
  {
    pattern: /extension (".+") is not available/,
    code: 'RESTORE_FAILED',
    message: 'needs the extension $1, which the server does not have',
    hint: 'Install its package on the server.',
  },
  {
    pattern:
      /did not find magic string|appears to be a text format dump|does not appear to be a valid archive|unexpected end of file|could not read from input file|could not find block ID|corrupt|unexpected block ID|input file is too short/,
    code: 'STREAM_DAMAGED',
    message: 'could not read the archive: it is damaged or cut short',
    hint: 'Verify the backup, and restore another one.',
  },
  {
    pattern: /No space left on device|could not extend file/,
    code: 'RESTORE_FAILED',
    message: 'filled the disk of the server',
    hint: 'Make room there, and restore again.',
  },
  {
    pattern: /permission denied (.+)|must be (owner|superuser|member) .*/,
    code: 'RESTORE_FAILED',
    message: 'was not allowed something by the server',
    hint: 'Restore as a superuser, or without owners and privileges.',
  },
]

/** What pg_dump or pg_dumpall meant. */
export function explainDump(tool: string): (messages: readonly string[]) => BackupError | undefined {
  return (messages) => explain(tool, [...dumpRules, ...connectionRules], messages)
}

/** What pg_restore or psql meant. */
export function explainRestore(tool: string): (messages: readonly string[]) => BackupError | undefined {
  return (messages) => explain(tool, [...restoreRules, ...connectionRules], messages)
}

function explain(tool: string, rules: readonly Rule[], messages: readonly string[]): BackupError | undefined {
  const said = messages.join('\n')
  for (const rule of rules) {
    const match = rule.pattern.exec(said)
    if (match === null) continue
    const what = rule.message.replace('$1', () => match[1] ?? 'something')
    const at = messages.findIndex((one) => rule.pattern.test(one))
    const [line = match[0], next = ''] = at < 0 ? [] : messages.slice(at, at + 2)
    const detail = next.startsWith('DETAIL:') ? ` ${next}` : ''
    return new BackupError(rule.code, `${tool} ${what}: ${line}${detail}`, {
      hint: rule.hint,
      ...(rule.class === undefined ? {} : { class: rule.class }),
    })
  }
  return undefined
}
