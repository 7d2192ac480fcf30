import { size } from '../output/written.ts'
import type { TriedDatabase } from './try-database.ts'

/** What was found at a database. */
export function tried({ server, tools, toolDirectory, sizeBytes, role }: TriedDatabase): string[] {
  const found = tools === undefined ? 'no tools of that version' : `tools ${tools} in ${toolDirectory ?? ''}`
  return [`It is reached: PostgreSQL ${server} (${found}), ${size(sizeBytes)}, as role ${role}.`]
}

/** The SQL of a role that may make backups and no more. */
export function aboutRole({ superuser, role, sql }: TriedDatabase): string[] {
  const opening = superuser
    ? `The role ${role} may do everything, and a backup needs far less. As a superuser, in this database, type:`
    : `All that the role ${role} needs for backups, typed by a superuser in this database:`
  const closing = superuser ? ['… and use that role, with its password, in the connection string.'] : []
  return [opening, ...sql.map((statement) => `  ${statement}`), ...closing]
}
