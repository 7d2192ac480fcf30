import type { Connection } from '@securyflex/shared/config'
import { openConnection } from '@securyflex/shared/postgres'

/** A connection of node-postgres. */
export type Client = Awaited<ReturnType<typeof openConnection>>

/** Works with a connection that is closed afterwards. */
export async function withClient<T>(
  connection: Connection,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await openConnection(connection, { applicationName: 'securyflex-backup demo' })
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
