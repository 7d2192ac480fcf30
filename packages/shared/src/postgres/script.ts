import { randomBytes } from 'node:crypto'
import type { Connection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { openConnection } from './connect.ts'
import type { NewDatabase } from './database.ts'
import { applicationName, feed, startRestoring } from './feed.ts'
import { intoNewDatabase } from './restore.ts'
import { withoutRestrictions } from './restrictions.ts'
import { versionNumber } from './server-facts.ts'
import type { Tools } from './tools.ts'
import { withoutTransactionTimeout } from './transaction-timeout.ts'

/** How a script is run. */
export interface ScriptOptions {
  /** Lets psql run the script's own backslash commands, which can start programs on this machine. Default: no. */
  readonly allowCommands?: boolean
  /** Told the statement that newer tools write and the server would refuse: it is left out. */
  readonly onLeftOut?: (statement: string) => void
}

/** What cannot be done in one transaction, and what would need more locks in it than the server has room for. */
const notInOneTransaction =
  /cannot (?:run|be executed) (?:inside|from within) a transaction block|out of shared memory/
const createsDatabases = /(?:CREATE|DROP) DATABASE cannot/

/**
 * Runs a script of SQL with psql in the new database `name`, stopping at its first error; then, and when the
 * signal aborts, the database is dropped again. It runs in one transaction; where that is impossible the
 * database is made anew and the script, read a second time, runs without.
 *
 * psql reads no startup file, and is restricted (`\restrict`) to SQL: a file could else start programs here.
 *
 * @returns whether it was one transaction
 * @throws RESTORE_FAILED, TOOL_TOO_OLD if psql cannot be restricted, CANCELLED, what `createDatabase` throws, or
 *   the error of the script's source.
 */
export async function runScriptInNewDatabase(
  tools: Tools,
  connection: Connection,
  name: string,
  shape: NewDatabase,
  read: () => AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
  { allowCommands = false, onLeftOut }: ScriptOptions = {},
): Promise<boolean> {
  if (!allowCommands && !canRestrict(tools.version)) throw cannotRestrict(tools.version)
  const target = { ...connection, database: name }
  const run = async (oneTransaction: boolean) => {
    await intoNewDatabase(connection, name, shape, async () => {
      const script = withoutRestrictions(await mendedFor(target, read(), signal, onLeftOut))
      await runScript(tools, target, allowCommands ? script : restricted(script), oneTransaction, signal)
    })
    return oneTransaction
  }
  try {
    return await run(true)
  } catch (error) {
    if (!(error instanceof BackupError) || !notInOneTransaction.test(error.message)) throw error
    if (createsDatabases.test(error.message)) throw error
    return await run(false)
  }
}

async function runScript(
  tools: Tools,
  target: Connection,
  script: AsyncIterable<Uint8Array>,
  oneTransaction: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const options = ['--no-psqlrc', '--quiet', '--no-password', '--set=ON_ERROR_STOP=1', '--file=-']
  if (oneTransaction) options.push('--single-transaction')
  const started = startRestoring(tools.psql, options, target, signal)
  // The answers of SELECT statements; nobody needs them.
  started.tool.stdout.resume()
  await feed(started, script, { wholly: true })
}

async function mendedFor(
  target: Connection,
  script: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
  onLeftOut: ScriptOptions['onLeftOut'],
): Promise<AsyncIterable<Uint8Array>> {
  const client = await openConnection(target, {
    applicationName,
    ...(signal === undefined ? {} : { signal }),
  })
  const version = await versionNumber(client).finally(() => client.end())
  return version < 170_000 ? withoutTransactionTimeout(script, onLeftOut) : script
}

async function* restricted(script: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  // Nobody knows the word, so that nothing in the script can end the restriction.
  yield Buffer.from(`\\restrict ${randomBytes(32).toString('hex')}\n`)
  yield* script
}

/** The first minor version of each major whose psql knows `\restrict` (August 2025, CVE-2025-8714). */
const firstWithRestrict: Readonly<Record<number, number>> = { 13: 22, 14: 19, 15: 14, 16: 10, 17: 6 }

/** @param version as the tools name themselves: `15.18`, `19beta1` */
export function canRestrict(version: string): boolean {
  const [, major = '0', minor = '0'] = /^(\d+)(?:\.(\d+))?/.exec(version) ?? []
  return Number(major) >= 18 || Number(minor) >= (firstWithRestrict[Number(major)] ?? Infinity)
}

function cannotRestrict(version: string): BackupError {
  return new BackupError(
    'TOOL_TOO_OLD',
    `psql ${version} would run every command that the file holds for it, and cannot be told not to.`,
    {
      hint: "Update PostgreSQL's client tools; for a file that you trust, add --allow-commands.",
    },
  )
}
