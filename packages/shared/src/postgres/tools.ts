import { join } from 'node:path'
import { BackupError, systemCode } from '@securyflex/shared/errors'
import { choose, fileOf, findInstallations } from './directories.ts'

/** PostgreSQL's client programs of one version, by their paths. */
export interface Tools {
  readonly directory: string
  readonly major: number
  /** As pg_dump names itself, e.g. `15.18`. */
  readonly version: string
  readonly pg_dump: string
  readonly pg_dumpall: string
  readonly pg_restore: string
  readonly psql: string
}

/** Tools of the very version that was asked for, by that, and their file: looking for them takes 7 ms of a small backup. */
const found = new Map<string, { readonly tools: Tools; readonly file: string }>()

/**
 * The client tools for a server, or an archive, of `major`: its own, else the next newer.
 *
 * @param binDirectory the only directory to look into (`BACKUP_PG_BIN_DIR`); the usual ones without it.
 * @throws TOOL_MISSING, TOOL_TOO_OLD with the line that installs them.
 */
export async function findTools(major: number, binDirectory?: string): Promise<Tools> {
  const asked = `${String(major)} ${binDirectory ?? ''}`
  const before = found.get(asked)
  if (before !== undefined && (await isStill(before))) return before.tools
  const tools = await look(major, binDirectory)
  // The next newer ones give way to the right ones as soon as those are there.
  if (tools.major === major) found.set(asked, { tools, file: await fileOf(tools.pg_dump) })
  return tools
}

async function isStill({ tools, file }: { readonly tools: Tools; readonly file: string }): Promise<boolean> {
  try {
    return (await fileOf(tools.pg_dump)) === file
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
    throw error
  }
}

async function look(major: number, binDirectory: string | undefined): Promise<Tools> {
  const { installations, broken } = await findInstallations(
    ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql'],
    binDirectory,
  )
  const chosen = choose(installations, major)
  if (chosen === undefined) throw nothingFits(major, binDirectory, installations.at(-1)?.version, broken)
  const { directory, version } = chosen
  return {
    directory,
    major: chosen.major,
    version,
    pg_dump: join(directory, 'pg_dump'),
    pg_dumpall: join(directory, 'pg_dumpall'),
    pg_restore: join(directory, 'pg_restore'),
    psql: join(directory, 'psql'),
  }
}

function nothingFits(
  major: number,
  binDirectory: string | undefined,
  older: string | undefined,
  broken: readonly string[],
): BackupError {
  const hint = `Install it: ${installLine('client', major)}${binDirectory === undefined ? '' : ' and correct BACKUP_PG_BIN_DIR'}.`
  const where = binDirectory === undefined ? '' : ` in ${binDirectory}`
  if (older !== undefined) {
    return new BackupError(
      'TOOL_TOO_OLD',
      `PostgreSQL ${String(major)} needs client tools of version ${String(major)} or newer, and the newest${where} is ${older}.`,
      { hint },
    )
  }
  if (broken.length > 0) {
    return new BackupError('TOOL_MISSING', `PostgreSQL's client tools do not run: ${broken.join('; ')}.`, {
      hint,
    })
  }
  return new BackupError(
    'TOOL_MISSING',
    `PostgreSQL's client tools (pg_dump, pg_dumpall, pg_restore, psql) were not found${where}.`,
    {
      hint,
    },
  )
}

/** The command that installs what is missing on this system. */
export function installLine(part: 'client' | 'server', major: number | undefined): string {
  const version = major === undefined ? '' : String(major)
  if (process.platform === 'darwin') return `brew install postgresql${version === '' ? '' : `@${version}`}`
  const name = part === 'client' ? 'postgresql-client' : 'postgresql'
  return `apt-get install ${name}${version === '' ? '' : `-${version}`}`
}
