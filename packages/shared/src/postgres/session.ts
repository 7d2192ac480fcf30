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
  if (await setAll(client, settings)) return
  for (const setting of settings) await setAll(client, [setting])
}

/** Sets those of `wanted` that the server knows. @returns false if there is one that it does not take */
async function setAll(client: pg.Client, wanted: typeof settings): Promise<boolean> {
  try {
    await client.query(
      `SELECT set_config(name, wanted.value, false)
         FROM pg_catalog.pg_settings JOIN unnest($1::text[], $2::text[]) AS wanted(name, value) USING (name)`,
      [wanted.map(([name]) => name), wanted.map(([, value]) => value)],
    )
    return true
  } catch (error) {
    // Known, but not supported on the server's operating system (client_connection_check_interval on Windows).
    if (error instanceof pg.DatabaseError && error.code === '22023') return false
    throw error
  }
}
