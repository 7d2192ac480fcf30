import type { Connection } from '@securyflex/shared/config'
import type { Client } from 'pg'
import { dumpGlobals } from './dump.ts'
import { oneRow } from './rows.ts'
import { type Answer, answerOf } from './server-facts.ts'
import type { Snapshot } from './snapshot.ts'
import type { Tools } from './tools.ts'

/** What pg_dumpall wrote for a server, and the state of its catalogs then. */
interface Known {
  readonly state: string
  /** All that was committed when that state was asked for. */
  readonly committed: string | undefined
  readonly script: Buffer
}

/** Longer ones are not kept. */
const longest = 2 ** 20
/** Servers, of which the ones that were met longest ago are forgotten first. */
const most = 32
const known = new Map<string, Known>()

/**
 * What `dumpGlobals` writes, without starting it where this process has done so before and nothing has changed since:
 * each of a hundred small databases of a server would take a tenth longer for it. It stays in memory only.
 *
 * @param snapshot of an open connection of the same role: its transaction says what state counts
 * @throws what `dumpGlobals` and its tool throw
 */
export async function* readGlobals(
  tools: Tools,
  connection: Connection,
  { client, committed }: Pick<Snapshot, 'client' | 'committed'>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { hosts, user, parameters } = connection
  const server = JSON.stringify([hosts, user, parameters, tools.directory, tools.version])
  const before = known.get(server)
  const isOfNow = committed !== undefined && before?.committed === committed
  const state = isOfNow ? before.state : await stateOf(client)
  if (before !== undefined && before.state === state) {
    remember(server, { ...before, committed })
    yield before.script
    return
  }
  const tool = await dumpGlobals(tools, connection, signal, client)
  const parts: Uint8Array[] = []
  for await (const part of tool.stdout as AsyncIterable<Uint8Array>) {
    parts.push(Buffer.from(part))
    yield part
  }
  await tool.done
  if (state !== undefined) remember(server, { state, committed, script: Buffer.concat(parts) })
}

function remember(server: string, found: Known): void {
  known.delete(server)
  if (found.script.length > longest) return
  known.set(server, found)
  const [oldest] = known.keys()
  if (known.size > most && oldest !== undefined) known.delete(oldest)
}

/** Every catalog that `pg_dumpall --globals-only` reads, and the version (server_version_num) that it came with. */
const catalogs: readonly (readonly [name: string, since: number])[] = [
  ['pg_authid', 0],
  ['pg_auth_members', 0],
  ['pg_db_role_setting', 0],
  ['pg_parameter_acl', 150_000],
  ['pg_shdescription', 0],
  ['pg_shseclabel', 0],
  ['pg_tablespace', 0],
]

/**
 * Which version of which rows the catalogs hold: any change gives a row another transaction or place, and a server that
 * was started anew, or is another one at the same address, has another beginning. Undefined where the role may not read
 * all of them. pg_dumpall runs after this was asked; who finds the same afterwards finds what it read.
 */
async function stateOf(client: Client): Promise<string | undefined> {
  const answer = await answerOf(client)
  const names = catalogs
    .filter(([, since]) => answer.versionNumber >= since)
    .map(([name]) => `pg_catalog.${name}`)
  // What fails would end the transaction, and the snapshot with it.
  if (!(await mayRead(client, answer, names))) return undefined
  const rows = names.map((name) => `SELECT '${name} ' || ctid || ' ' || xmin AS version FROM ${name}`)
  const { state } = await oneRow<{ state: string }>(
    client,
    `SELECT extract(epoch FROM pg_postmaster_start_time()) || ' ' || string_agg(version, ',' ORDER BY version COLLATE "C") AS state
       FROM (${rows.join(' UNION ALL ')}) AS versions`,
  )
  return state
}

async function mayRead(client: Client, { superuser }: Answer, names: readonly string[]): Promise<boolean> {
  if (superuser) return true
  const { may } = await oneRow<{ may: boolean }>(
    client,
    `SELECT bool_and(has_table_privilege(name, 'SELECT')) AS may FROM unnest($1::text[]) AS name`,
    [names],
  )
  return may
}
