import { BackupError } from '@securyflex/shared/errors'
import type pg from 'pg'
import { oneRow } from './rows.ts'
import { answerOf } from './server-facts.ts'

/**
 * Refuses a transaction pooler (PgBouncer, Supavisor, …): each transaction may meet another server process
 * there, so settings of a session are lost or leak to others.
 *
 * A pooler gives itself away by naming another process at the start of the connection than the one that
 * answers queries. Whether it pools by transaction shows when a second connection is handed the very process
 * that the first one, still open, has just used; without `openAnother` every pooler is refused.
 *
 * @param openAnother opens a second connection like the first one; it is closed again.
 * @returns the id of the server's process behind `client`
 * @throws POOLER_REFUSED
 */
export async function refusePooler(
  client: pg.Client,
  openAnother?: () => Promise<pg.Client>,
): Promise<number> {
  const { process: answering } = await answerOf(client)
  if (answering === announcedProcess(client)) return answering
  if (openAnother !== undefined && !(await sharesProcesses(client, openAnother))) return answering
  throw new BackupError(
    'POOLER_REFUSED',
    `A connection pooler answers at ${client.host}:${String(client.port)}.`,
    {
      hint: "Put the server's own address into DATABASE_URL (PgBouncer listens on 6432, PostgreSQL itself on 5432; providers call it the direct connection).",
    },
  )
}

/** The process id of BackendKeyData, which node-postgres keeps for cancelling. */
function announcedProcess(client: pg.Client): number | null {
  return (client as pg.Client & { readonly processID: number | null }).processID
}

async function processOf(client: pg.Client): Promise<number> {
  return (await oneRow<{ pid: number }>(client, 'SELECT pg_backend_pid() AS pid')).pid
}

/**
 * A pool hands out the process that was given back last, or takes turns; asking once, twice and three times
 * between the other's questions meets both.
 */
async function sharesProcesses(client: pg.Client, openAnother: () => Promise<pg.Client>): Promise<boolean> {
  const other = await openAnother()
  try {
    const seen = new Set<number>()
    for (const times of [1, 2, 3]) {
      for (let asked = 0; asked < times; asked++) seen.add(await processOf(client))
      if (seen.size > 1 || seen.has(await processOf(other))) return true
    }
    return false
  } finally {
    await other.end()
  }
}
