import pg from 'pg'

/**
 * Does `work` inside the open transaction and takes everything back that it leaves there: settings, an error,
 * and above all locks, which a transaction otherwise keeps to its end. A server has room for a few thousand.
 */
export async function inSubtransaction<Result>(
  client: pg.Client,
  work: () => Promise<Result>,
): Promise<Result> {
  await client.query('SAVEPOINT fingerprint')
  try {
    return await work()
  } finally {
    await client
      .query('ROLLBACK TO SAVEPOINT fingerprint; RELEASE SAVEPOINT fingerprint')
      .catch(ignoreLostConnection)
  }
}

/** On a connection that is lost there is nothing to take back; the error of the work tells that it is lost. */
export function ignoreLostConnection(error: unknown): void {
  if (error instanceof pg.DatabaseError) throw error
}
