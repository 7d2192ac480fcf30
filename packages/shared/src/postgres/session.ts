import pg from 'pg'
import { versionNumber } from './server-facts.ts'

/**
 * What a session that waits for hours needs, and the version (server_version_num) that it came with: no timeout may end
 * it, it never waits long for a lock, and the server notices within seconds that this process is gone.
 */
const settings: readonly (readonly [name: string, value: string, since: number])[] = [
  ['statement_timeout', '0', 0],
  ['idle_in_transaction_session_timeout', '0', 90_600],
  ['idle_session_timeout', '0', 140_000],
  ['transaction_timeout', '0', 170_000],
  ['lock_timeout', '10s', 90_300],
  ['tcp_keepalives_idle', '60', 0],
  ['tcp_keepalives_interval', '10', 0],
  ['tcp_keepalives_count', '6', 0],
  ['client_connection_check_interval', '10s', 140_000],
]

/**
 * Not taken by this server: known, but not supported on its operating system (client_connection_check_interval on
 * Windows), or unknown to a relative of PostgreSQL, whatever version it says it is.
 */
const notTaken: readonly (string | undefined)[] = ['22023', '42704']

/** Prepares `client` for hours in which it only holds something. */
export async function prepareToWait(client: pg.Client): Promise<void> {
  const version = await versionNumber(client)
  const wanted = settings.filter(([, , since]) => version >= since)
  if (await setAll(client, wanted)) return
  for (const setting of wanted) await setAll(client, [setting])
}

/** @returns false if there is one among them that the server does not take */
async function setAll(client: pg.Client, wanted: typeof settings): Promise<boolean> {
  try {
    // Not by way of pg_settings, which makes a row of everything that can be set: as long as all else that is asked here.
    await client.query(
      'SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS wanted(name, value)',
      [wanted.map(([name]) => name), wanted.map(([, value]) => value)],
    )
    return true
  } catch (error) {
    if (error instanceof pg.DatabaseError && notTaken.includes(error.code)) return false
    throw error
  }
}
