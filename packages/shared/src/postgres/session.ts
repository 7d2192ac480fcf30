import pg from 'pg'

/**
 * What a session that waits for hours needs, where the server knows it: no timeout may end it, it never
 * waits long for a lock, and the server notices within seconds that this process is gone.
 */
const settings: readonly (readonly [string, string])[] = [
  ['statement_timeout', '0'],
  ['idle_in_transaction_session_timeout', '0'],
  ['idle_session_timeout', '0'],
  ['transaction_timeout', '0'],
  ['lock_timeout', '10s'],
  ['tcp_keepalives_idle', '60'],
  ['tcp_keepalives_interval', '10'],
  ['tcp_keepalives_count', '6'],
  ['client_connection_check_interval', '10s'],
]

/** Prepares `client` for hours in which it only holds something. */
export async function prepareToWait(client: pg.Client): Promise<void> {
  for (const [name, value] of settings) await setWhereKnown(client, name, value)
}

async function setWhereKnown(client: pg.Client, name: string, value: string): Promise<void> {
  try {
    await client.query('SELECT set_config(name, $2, false) FROM pg_catalog.pg_settings WHERE name = $1', [
      name,
      value,
    ])
  } catch (error) {
    // Known, but not supported on the server's operating system (client_connection_check_interval on Windows).
    if (!(error instanceof pg.DatabaseError && error.code === '22023')) throw error
  }
}
