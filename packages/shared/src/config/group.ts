import { createHash } from 'node:crypto'
import type { Config, Source, SourceGroup } from './config.ts'
import { show } from './connection/shown.ts'

/** Longest name of a group, in characters: the names of its databases begin with it, and have 64. */
export const longestGroupName = 40
const longestName = 64
/** What a name ends with that is not the database's own. */
const mark = /-[0-9a-f]{8}$/

/**
 * What the database `database` of a group is called as a source: the group's name, a hyphen, and its own name. Where
 * that is no name for a source, what does not belong there is replaced, and a hash of the database's name tells it from
 * others that look alike. So a database keeps its name whatever others come and go.
 */
export function memberName(group: string, database: string): string {
  const plain = `${group}-${database}`
  if (/^[A-Za-z0-9_-]+$/.test(plain) && plain.length <= longestName && !mark.test(plain)) return plain
  const hash = createHash('sha256').update(database).digest('hex').slice(0, 8)
  const shown = plain.replaceAll(/[^A-Za-z0-9_-]/gu, '-').slice(0, longestName - hash.length - 1)
  return `${shown}-${hash}`
}

/** The group that a source of this name comes from: names that begin with a group's are its own. */
export function groupOf({ groups }: Pick<Config, 'groups'>, name: string): SourceGroup | undefined {
  return groups.find((group) => name.startsWith(`${group.name}-`))
}

/** Whether `exclude.databases` leaves a database out; `*` and `?` stand for any characters and for one. */
export function leavesOut({ withoutDatabases }: SourceGroup, database: string): boolean {
  return withoutDatabases.some((pattern) => {
    const parts = pattern.split(/([*?])/).map((part) => {
      if (part === '*') return '.*'
      return part === '?' ? '.' : part.replaceAll(/[\\^$.+()[\]{}|]/g, '\\$&')
    })
    return new RegExp(`^${parts.join('')}$`, 'su').test(database)
  })
}

/** One of a group's databases as a source, with all that the group says. */
export function memberOf(group: SourceGroup, database: string): Source {
  const { withoutDatabases: _, passwords, ...settings } = group
  const password =
    passwords === undefined
      ? group.connection.password
      : passwords.find((line) => line.database === undefined || line.database === database)?.password
  const connection = { ...group.connection, database, password }
  const shown = show(connection)
  return { ...settings, name: memberName(group.name, database), connection: { ...connection, shown } }
}

/** The database that a name stands for by itself; undefined where only its hash is in the name. */
export function databaseOf({ name: group }: SourceGroup, name: string): string | undefined {
  const database = name.slice(group.length + 1)
  return memberName(group, database) === name ? database : undefined
}

/**
 * The group of a name that shows only the hash of its database's: which one it is, only the server can tell.
 * Undefined for any other name.
 */
export function groupThatHides({ sources, groups }: Pick<Config, 'sources' | 'groups'>, name: string) {
  const group = groupOf({ groups }, name)
  const known = [...sources, ...groups].some((one) => one.name === name)
  if (group === undefined || known || !mark.test(name)) return undefined
  return databaseOf(group, name) === undefined ? group : undefined
}
