import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { it } from '@jest/globals'
import { startThrowawayServer, type ThrowawayServer } from '@securyflex/shared/postgres'
import type { Access } from './postgres.ts'
import { testWhere } from './test-where.ts'

/** Major versions of PostgreSQL beside that of the shared server; see scripts/set-up/postgresql-majors.sh. */
export type Major = 15 | 17 | 18

const cache = '/var/cache/securyflex-backup/postgresql'

/** The directory of this major's programs, server and clients, where it is installed or was fetched. */
export function programsOf(major: Major): string {
  return findPrograms(major) ?? `PostgreSQL ${String(major)} is not there`
}

function findPrograms(major: Major): string | undefined {
  const own = `/usr/lib/postgresql/${String(major)}/bin`
  return [own, join(cache, String(major), own)].find((directory) =>
    ['postgres', 'initdb', 'pg_dump', 'pg_restore'].every((program) => existsSync(join(directory, program))),
  )
}

/** Whether this major is there; hooks ask, because jest runs them for skipped tests, too. */
export function isThere(major: Major): boolean {
  return findPrograms(major) !== undefined
}

/** `it` where all of these majors are there. */
export function testWith(...majors: readonly Major[]): ReturnType<typeof testWhere> {
  const missing = majors.filter((major) => !isThere(major))
  if (missing.length === 0) return it
  return testWhere(
    false,
    `PostgreSQL ${missing.join(' and ')} is missing; as root on Debian \`npm run test:full\` fetches it`,
  )
}

/** A server of one major, empty, with the programs that belong to it. */
export interface MajorServer extends AsyncDisposable {
  readonly major: Major
  readonly programs: string
  readonly access: Access
}

/** Starts one on loopback; disposing of it removes it with all its databases. */
export async function startMajor(major: Major): Promise<MajorServer> {
  const programs = programsOf(major)
  const server = await startThrowawayServer({ binDirectory: programs, listen: 'loopback' })
  return { major, programs, access: accessTo(server), [Symbol.asyncDispose]: () => server.stop() }
}

function accessTo({ connection }: ThrowawayServer): Access {
  const [{ host, port } = { host: '', port: 0 }] = connection.hosts
  return { host, port, user: connection.user, password: connection.password?.reveal() ?? '' }
}
