import { readdirSync, readFileSync } from 'node:fs'
import type { Installation } from './installation.ts'

/** Sessions and advisory locks in an installation's database, in words. */
export async function sessionsOf({ database }: Installation): Promise<unknown[]> {
  const { rows } = await database.query(
    `SELECT application_name || ' ' || coalesce(state, '') AS found FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()
     UNION ALL SELECT 'advisory lock of ' || pid FROM pg_locks
      WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  )
  return rows.map(({ found }) => found)
}

/** Client tools that were told of an installation's database. */
export function toolsOf({ database }: Installation): string[] {
  const ours = `PGDATABASE=${database.name}`
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
        if (!environment.includes(ours)) return []
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
        // One that is being taken apart after its end has none.
        return command.trim() === '' ? [] : [command]
      } catch (error) {
        if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
        throw error
      }
    })
}
