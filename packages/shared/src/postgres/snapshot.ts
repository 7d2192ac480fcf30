import { setTimeout as delay } from 'node:timers/promises'
import { BackupError } from '@securyflex/shared/errors'
import pg from 'pg'
import { oneRow } from './rows.ts'
import { answerOf } from './server-facts.ts'
import { prepareToWait } from './session.ts'

/** A moment of the database that stays readable while this is held. */
export interface Snapshot {
  /** For `pg_dump --snapshot` and `SET TRANSACTION SNAPSHOT`. */
  readonly id: string
  /** Inside the snapshot's transaction; a failed query ends the transaction, and the snapshot with it. */
  readonly client: pg.Client
  /** By the server's clock. */
  readonly takenAt: Date
  /**
   * The server, and all that was committed: where it is the same later, nothing has changed in any of its databases.
   * Undefined on a standby, which cannot tell, and before version 13.
   */
  readonly committed: string | undefined
  /** Rejects with SNAPSHOT_LOST when the connection ends before `release`; never resolves. */
  readonly lost: Promise<never>
  /** Aborts when `lost` rejects, with the same error as its reason. */
  readonly lostSignal: AbortSignal
  /** Asks the server. A dump counts only if this resolves after it has ended. @throws SNAPSHOT_LOST */
  confirm(): Promise<void>
  /** Ends the transaction; the connection stays open. Does nothing when it is lost or released already. */
  release(): Promise<void>
}

interface Exported {
  readonly locked: boolean
  readonly id: string
  readonly taken: string
  readonly committed: string | null
}

/** Which server it is, and which transactions it has seen the end of; not on a standby, which keeps no list of them. */
const committedNow = `extract(epoch FROM pg_postmaster_start_time()) || ' ' || pg_current_snapshot()`

/**
 * Takes the advisory lock `lockName` of this database for the length of the transaction and exports its
 * snapshot (REPEATABLE READ, READ ONLY; works on a standby too). `client` must be unused until now.
 *
 * @throws DATABASE_BUSY when another session holds the lock.
 */
export async function holdSnapshot(client: pg.Client, lockName: string): Promise<Snapshot> {
  await prepareToWait(client)
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  try {
    const { versionNumber, inRecovery } = await answerOf(client)
    // hashtextextended came with version 11.
    const key = versionNumber >= 110_000 ? 'hashtextextended($1, 0)' : 'hashtext($1)::bigint'
    const committed = versionNumber >= 130_000 && !inRecovery ? committedNow : 'NULL'
    // In milliseconds, because the text of a time depends on the DateStyle of the database or the role.
    const {
      locked,
      id,
      taken,
      committed: all,
    } = await oneRow<Exported>(
      client,
      `SELECT pg_try_advisory_xact_lock(${key}) AS locked, pg_export_snapshot() AS id,
              trunc(extract(epoch FROM now()) * 1000) AS taken, ${committed} AS committed`,
      [lockName],
    )
    if (!locked) throw busy(client, lockName)
    return { id, client, takenAt: new Date(Number(taken)), committed: all ?? undefined, ...watch(client) }
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  }
}

/** How long an ended session may take to be gone, in ms. */
const goneWithin = 5000

/**
 * Ends the session of process `pid` if it is one of ours that holds an advisory lock in this database: a
 * stopped worker's, whose snapshot would otherwise be held until that worker wakes up. Waits until it is gone.
 */
export async function endStaleSession(
  client: pg.Client,
  pid: number,
  applicationName: string,
): Promise<void> {
  const mine = `FROM pg_catalog.pg_stat_activity AS session
    WHERE session.pid = $1 AND session.application_name = $2 AND session.datname = current_database()
    AND EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = session.pid)`
  await client.query(`SELECT pg_catalog.pg_terminate_backend(session.pid) ${mine}`, [pid, applicationName])
  const deadline = Date.now() + goneWithin
  while (Date.now() < deadline) {
    const { rowCount } = await client.query(`SELECT 1 ${mine}`, [pid, applicationName])
    if (rowCount === 0) return
    await delay(50)
  }
}

function busy(client: pg.Client, lockName: string): BackupError {
  return new BackupError(
    'DATABASE_BUSY',
    `Another backup of database "${client.database ?? ''}" is running ("${lockName}").`,
    {
      hint: `Wait for it; SELECT pid, application_name, state FROM pg_stat_activity WHERE datname = current_database(); shows who it is.`,
    },
  )
}

type Watch = Pick<Snapshot, 'lost' | 'lostSignal' | 'confirm' | 'release'>

function watch(client: pg.Client): Watch {
  const controller = new AbortController()
  let released = false
  let fail: (error: BackupError) => void = () => undefined
  const lost = new Promise<never>((_, reject) => {
    fail = reject
  })
  // Held against by whoever races it; until then it must not count as unhandled.
  lost.catch(() => undefined)
  const lose = (cause?: unknown) => {
    if (released || controller.signal.aborted) return
    const error = snapshotLost(cause)
    controller.abort(error)
    fail(error)
  }
  client.once('error', lose)
  client.once('end', lose)
  const forget = () => {
    client.off('error', lose)
    client.off('end', lose)
  }

  return {
    lost,
    lostSignal: controller.signal,
    async confirm() {
      controller.signal.throwIfAborted()
      try {
        await client.query('SELECT 1')
      } catch (error) {
        lose(error)
        throw snapshotLost(error)
      }
    },
    async release() {
      if (released || controller.signal.aborted) return
      released = true
      forget()
      await client.query('ROLLBACK').catch((error: unknown) => {
        // The transaction has ended either way; that it was lost is told by `confirm`.
        if (error instanceof pg.DatabaseError) throw error
      })
    },
  }
}

function snapshotLost(cause: unknown): BackupError {
  const why = cause instanceof Error ? ` (${cause.message})` : ''
  return new BackupError('SNAPSHOT_LOST', `The connection that holds the snapshot ended${why}.`, {
    hint: "Look into the server's log for a restart, a failover or an administrator who ended it; the next attempt takes a new snapshot.",
    cause,
  })
}
