import type { Connection } from '@securyflex/shared/config'
import { openConnection } from '@securyflex/shared/postgres'
import pg from 'pg'

/** How pg_dump introduces each definition. */
const introduction = /^-- Name: (.*); Type: (.*); Schema: (.*); Owner: .*$/gm

/** Schemas that definitions make, and those that they use and do not make. */
export function schemasOf(script: string): { readonly made: string[]; readonly missing: string[] } {
  const made = new Set<string>()
  const used = new Set<string>()
  for (const [, name = '', type, schema = '-'] of script.matchAll(introduction)) {
    if (type === 'SCHEMA') made.add(name)
    // What belongs to no schema has a hyphen there.
    else if (schema !== '-') used.add(schema)
  }
  return { made: [...made], missing: [...used].filter((schema) => !made.has(schema)) }
}

/**
 * Loads a part of another database into an empty one. pg_dump leaves the schemas of single tables out, and writes
 * CREATE SCHEMA for every schema that it was asked for: `public` too, which is in every new database, but not what
 * everybody may do there unless somebody changed it.
 * @param privileges whether `load` restores them
 */
export async function withSchemas(
  target: Connection,
  script: string,
  privileges: boolean,
  signal: AbortSignal,
  load: () => Promise<void>,
): Promise<void> {
  const { made, missing } = schemasOf(script)
  const isMade = made.includes('public')
  const usual = isMade ? await inTarget(target, signal, dropPublic) : []
  await inTarget(target, signal, async (client) => {
    for (const schema of missing) {
      await client.query(`CREATE SCHEMA IF NOT EXISTS ${pg.escapeIdentifier(schema)}`)
    }
  })
  await load()
  if (usual.length === 0 || (privileges && changesPublic.test(script))) return
  await inTarget(target, signal, (client) =>
    client.query(`GRANT ${usual.join(', ')} ON SCHEMA public TO PUBLIC`),
  )
}

/** pg_dump's first statement where what everybody may do in `public` is not the usual. */
const changesPublic = /^REVOKE .* ON SCHEMA public FROM PUBLIC;$/m

/** Drops the empty schema `public`, and says what everybody may do in a new one. */
async function dropPublic(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ privilege: string }>(
    `SELECT a.privilege_type AS privilege FROM pg_catalog.pg_namespace n, aclexplode(n.nspacl) a
      WHERE n.nspname = 'public' AND a.grantee = 0`,
  )
  await client.query('DROP SCHEMA IF EXISTS public')
  return rows.map(({ privilege }) => privilege)
}

async function inTarget<Result>(
  target: Connection,
  signal: AbortSignal,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = await openConnection(target, { applicationName: 'securyflex-backup restore', signal })
  return await work(client).finally(() => client.end())
}
