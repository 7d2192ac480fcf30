import { randomBytes } from 'node:crypto'
import type { Connection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import pg from 'pg'
import { dropAfter, refuseImpossibleName } from './database.ts'
import { allRows, oneRow } from './rows.ts'
import { versionNumber } from './server-facts.ts'
import { prepareToWait } from './session.ts'

const { DatabaseError, escapeIdentifier } = pg

/** A database that is not whole yet is called this and eight hexadecimal digits. */
const prefix = 'securyflex_restore_'
export const scratchName = /^securyflex_restore_[0-9a-f]{8}$/

/**
 * First halves of this product's advisory locks, in which it calls itself (`SFL…`). The second half is the number in
 * a scratch name, or a hash of the name that a database is to have.
 */
const lockOfScratch = 0x53_46_4c_01
const lockOfName = 0x53_46_4c_02

/** How often a rename is tried; before each further one, sessions in the database are ended. */
const renames = 3

/** A database on its way. */
export interface Scratch {
  /** What it is called until it is whole. */
  readonly name: string
  /** Aborts with the restore's own signal, and when the session that vouches for the restore is lost. */
  readonly signal: AbortSignal
}

/** A scratch database whose restore is no more. */
export interface UnfinishedRestore {
  readonly name: string
  /** Undefined where the role may not look. */
  readonly bytes: number | undefined
  /** The SQL that removes it. */
  readonly drop: string
}

/**
 * Lets `work` create and fill a database under a name of its own, and gives it the name `name` when that is done, in
 * one statement. So a database called `name` is whole whatever happens, a SIGKILL and a power cut included. When
 * anything fails before, it is dropped.
 *
 * While it lasts `client`, a session in another database, holds an advisory lock whose key is the number in the
 * scratch name: it tells the database of a restore that goes on from that of a killed one, because the server
 * lets go of the lock when the session ends. A second lock keeps two restores into one name apart.
 *
 * @throws USAGE for an impossible name, DATABASE_BUSY, DATABASE_EXISTS if `name` was taken meanwhile,
 *   DATABASE_UNREACHABLE if the session was lost, DATABASE_REFUSED, and what `work` throws.
 */
export async function underScratchName<Result>(
  client: pg.Client,
  connection: Connection,
  name: string,
  signal: AbortSignal,
  work: (scratch: Scratch) => Promise<Result>,
): Promise<Result> {
  refuseImpossibleName(name)
  refuseScratchName(name)
  await prepareToWait(client)
  await lockName(client, name)
  const scratch = await lockScratch(client)
  using session = watch(client)
  try {
    const both = AbortSignal.any([signal, session.lost])
    const result = await work({ name: scratch, signal: both })
    both.throwIfAborted()
    await rename(client, scratch, name)
    return result
  } catch (error) {
    return await dropAfter(error, connection, scratch)
  }
}

/** The scratch databases on the server of `client` whose restore was killed. They are never dropped unasked. */
export async function unfinishedRestores(client: pg.Client): Promise<readonly UnfinishedRestore[]> {
  // Locks of every database are to be seen in each, by everyone.
  const found = await allRows<{ name: string; template: boolean; bytes: string | null }>(
    client,
    `SELECT d.datname AS name, d.datistemplate AS template,
            CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) END AS bytes
       FROM pg_catalog.pg_database d
      WHERE d.datname ~ '${scratchName.source}'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l
             WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = ${String(lockOfScratch)}
               AND l.objid::bigint = ('x' || substring(d.datname::text from '[0-9a-f]{8}$'))::bit(32)::bigint)
      ORDER BY d.datname`,
  )
  const force = (await versionNumber(client)) >= 130_000 ? ' WITH (FORCE)' : ''
  return found.map(({ name, template, bytes }) => ({
    name,
    bytes: bytes === null ? undefined : Number(bytes),
    drop: `${template ? `ALTER DATABASE ${name} IS_TEMPLATE false; ` : ''}DROP DATABASE ${name}${force};`,
  }))
}

function refuseScratchName(name: string): void {
  if (!scratchName.test(name)) return
  throw new BackupError('USAGE', `"${name}" is what a database is called while it is being restored.`, {
    hint: 'Choose another name with --to.',
  })
}

async function lockName(client: pg.Client, name: string): Promise<void> {
  const { locked } = await oneRow<{ locked: boolean }>(
    client,
    'SELECT pg_try_advisory_lock($1::int, hashtext($2)) AS locked',
    [lockOfName, name],
  )
  if (locked) return
  throw new BackupError('DATABASE_BUSY', `Another restore into "${name}" is going on.`, {
    hint: 'Wait for its end, or choose another name with --to.',
  })
}

/** Locks a number that is free, before a database is called by it. */
async function lockScratch(client: pg.Client): Promise<string> {
  for (;;) {
    const number = randomBytes(4)
    const { locked } = await oneRow<{ locked: boolean }>(
      client,
      'SELECT pg_try_advisory_lock($1::int, $2::int) AS locked',
      [lockOfScratch, number.readInt32BE()],
    )
    if (locked) return prefix + number.toString('hex')
  }
}

/** Without its session a restore would look like a killed one, so it ends with it. */
function watch(client: pg.Client): Disposable & { readonly lost: AbortSignal } {
  const controller = new AbortController()
  const lose = (cause?: Error) => {
    controller.abort(
      new BackupError('DATABASE_UNREACHABLE', 'The connection that watches over the restore ended.', {
        hint: "Look into the server's log for a restart or a failover, and restore again.",
        cause,
      }),
    )
  }
  client.once('error', lose)
  client.once('end', lose)
  return {
    lost: controller.signal,
    [Symbol.dispose]() {
      client.off('error', lose)
      client.off('end', lose)
    },
  }
}

/** The server renames no database in which somebody is, and waits five seconds for them to leave. */
async function rename(client: pg.Client, scratch: string, name: string): Promise<void> {
  const statement = `ALTER DATABASE ${escapeIdentifier(scratch)} RENAME TO ${escapeIdentifier(name)}`
  for (let turn = 1; ; turn += 1) {
    try {
      await client.query(statement)
      return
    } catch (error) {
      if (turn === renames || stateOf(error) !== '55006') throw explainRename(error, name)
      await endSessions(client, scratch)
    }
  }
}

/** Of whoever looks into every new database, such as a monitor; where the role may not, the next turn tells. */
async function endSessions(client: pg.Client, database: string): Promise<void> {
  try {
    await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = $1',
      [database],
    )
  } catch (error) {
    if (stateOf(error) !== '42501') throw error
  }
}

function stateOf(error: unknown): string | undefined {
  return error instanceof DatabaseError ? error.code : undefined
}

function explainRename(error: unknown, name: string): BackupError {
  if (stateOf(error) === '42P04') {
    return new BackupError(
      'DATABASE_EXISTS',
      `Somebody created a database "${name}" during the restore; it was left alone.`,
      { hint: 'Restore again, with another name in --to.', cause: error },
    )
  }
  const said = error instanceof Error ? error.message : String(error)
  return new BackupError(
    stateOf(error) === undefined ? 'DATABASE_UNREACHABLE' : 'DATABASE_REFUSED',
    `The restored database could not be given the name "${name}": ${said}.`,
    {
      hint:
        stateOf(error) === '55006'
          ? 'Stop what connects to every database (a monitor, an administration tool), and restore again.'
          : "Look into the server's log, and restore again.",
      cause: error,
    },
  )
}
