import { execFile } from 'node:child_process'
import { access, constants, glob, realpath, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { systemCode } from '@securyflex/shared/errors'
import { childEnvironment } from './environment.ts'

const run = promisify(execFile)

/** Where packages put the programs of one major version: Debian, Red Hat, SUSE, Alpine, Homebrew, EDB, Postgres.app, Nix. */
const places = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/usr/lib/postgresql[0-9]*/bin',
  '/usr/libexec/postgresql[0-9]*',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/opt/homebrew/opt/libpq/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/usr/local/opt/libpq/bin',
  '/Library/PostgreSQL/*/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
  '/usr/local/pgsql/bin',
  '/run/current-system/sw/bin',
  `${homedir()}/.nix-profile/bin`,
  '/usr/local/bin',
  '/usr/bin',
]

/** A directory that holds the programs that were asked for, and the version of the first of them. */
export interface Installation {
  readonly directory: string
  readonly major: number
  /** As it names itself, e.g. `15.18`. */
  readonly version: string
}

/** What was found, and why directories that looked right do not count. */
export interface Found {
  readonly installations: readonly Installation[]
  readonly broken: readonly string[]
}

/** Every installation that has all of `programs`: in `only` if given, else in the usual places. */
export async function findInstallations(
  programs: readonly [string, ...string[]],
  only?: string,
): Promise<Found> {
  const installations: Installation[] = []
  const broken: string[] = []
  for (const directory of only === undefined ? await candidates() : [only]) {
    if (!(await hasAll(directory, programs))) continue
    try {
      installations.push({ directory, ...(await versionOf(join(directory, programs[0]))) })
    } catch (error) {
      broken.push(
        `${join(directory, programs[0])}: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
  }
  return { installations, broken }
}

async function candidates(): Promise<readonly string[]> {
  const found: string[] = []
  for (const place of places) {
    for await (const directory of glob(place)) found.push(directory)
  }
  return found
}

async function hasAll(directory: string, programs: readonly string[]): Promise<boolean> {
  for (const program of programs) {
    if (!(await isProgram(join(directory, program)))) return false
  }
  return true
}

/** Debian's wrapper does not count: it picks a version by the clusters of this machine, not by what is asked. */
async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return !(await realpath(path)).endsWith('/pg_wrapper')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'].includes(systemCode(error) ?? '')) return false
    throw error
  }
}

interface Version {
  readonly major: number
  readonly version: string
}

/** What programs said, by path and the file that was there: starting one for each small backup takes a tenth of it. */
const said = new Map<string, Version>()

async function versionOf(program: string): Promise<Version> {
  const file = await fileOf(program)
  const known = said.get(file)
  if (known !== undefined) return known
  const version = await askVersion(program)
  said.set(file, version)
  return version
}

/** Tells the file at `path` from every other one that is put there. */
export async function fileOf(path: string): Promise<string> {
  const { dev, ino, size, ctimeNs } = await stat(path, { bigint: true })
  return [path, dev, ino, size, ctimeNs].join(' ')
}

/** `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; development versions read `19devel`. */
async function askVersion(program: string): Promise<Version> {
  const { stdout } = await run(program, ['--version'], { env: childEnvironment(), timeout: 10_000 })
  const match = /\(PostgreSQL\) ((\d+)\S*)/.exec(stdout)
  if (match?.[1] === undefined) throw new Error(`says "${stdout.trim()}" instead of a version`)
  return { major: Number(match[2]), version: match[1] }
}

/**
 * The installation of `major`, else of the next newer: newer programs serve older servers, never the
 * reverse (pg_dump's manual). Of several of one major the newest minor.
 */
export function choose(installations: readonly Installation[], major: number): Installation | undefined {
  return installations
    .filter((one) => one.major >= major)
    .toSorted((a, b) => a.major - b.major || minor(b) - minor(a))[0]
}

function minor({ version }: Installation): number {
  return Number(/\.(\d+)/.exec(version)?.[1] ?? 0)
}
