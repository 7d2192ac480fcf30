import { execFile } from 'node:child_process'
import { access, constants, glob, realpath } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { childEnvironment } from './environment.ts'

const run = promisify(execFile)

/** Where packages put the programs of one major version: Debian, Red Hat, SUSE, Alpine, Homebrew, EDB, Postgres.app. */
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

/** Every installation that has all of `programs`: in `only` if given, else in the usual places and on the PATH. */
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
  const found = new Set<string>()
  for (const place of places) {
    for await (const directory of glob(place)) found.add(directory)
  }
  for (const directory of (childEnvironment()['PATH'] ?? '').split(delimiter)) {
    const real =
      directory === '' ? undefined : await behind(join(directory, 'pg_dump'), join(directory, 'postgres'))
    if (real !== undefined) found.add(real)
  }
  return [...found]
}

/**
 * The directory of the first program that exists, symbolic links followed. Debian's wrapper is passed
 * over: it picks a version by the clusters of this machine, not by what it is asked to do.
 */
async function behind(...programs: readonly string[]): Promise<string | undefined> {
  for (const program of programs) {
    if (!(await executable(program))) continue
    const real = await realpath(program)
    if (!real.endsWith('/pg_wrapper')) return dirname(real)
  }
  return undefined
}

async function hasAll(directory: string, programs: readonly string[]): Promise<boolean> {
  for (const program of programs) {
    if (!(await executable(join(directory, program)))) return false
  }
  return true
}

function executable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; development versions read `19devel`. */
async function versionOf(program: string): Promise<{ major: number; version: string }> {
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
