import pg from 'pg'
import { statements, type Token } from '../needs/statements.ts'

/** What an archive says of the database itself, apart from what is in it. */
export interface DatabaseProperties {
  /** Where it lay, unless that was the server's default. */
  readonly tablespace: string | undefined
  /** SQL that gives a database its settings, limits and comment, for the new database's name. */
  readonly settings: readonly string[]
  /** The same for privileges, security labels and what roles have set for themselves in it. */
  readonly privileges: readonly string[]
}

/**
 * Reads them from the script that `pg_restore --create --schema-only` writes, and gives them to the database
 * `name`. Its owner is left out: who restores may not be able to give a database away. Pure.
 */
export function propertiesOf(script: string, name: string): DatabaseProperties {
  const settings: string[] = []
  const privileges: string[] = []
  let tablespace: string | undefined
  let grantor: string | undefined
  for (const statement of statements(script)) {
    const begins = words(statement, 3)
    if (begins.startsWith('set session authorization')) grantor = textOf(script, statement)
    if (begins.startsWith('reset session authorization')) grantor = undefined
    if (begins.startsWith('create database')) tablespace = tablespaceOf(statement)
    const at = indexOfName(statement)
    if (at === undefined) continue
    const renamed = rename(script, statement, at, name)
    if (isSetting(statement, at)) settings.push(renamed)
    else
      privileges.push(grantor === undefined ? renamed : `${grantor}; ${renamed}; RESET SESSION AUTHORIZATION`)
  }
  return { tablespace, settings, privileges }
}

/** Where the name of the database stands in a statement about it; undefined in every other one. */
function indexOfName(statement: readonly Token[]): number | undefined {
  switch (words(statement, 2)) {
    case 'alter database':
      return isWord(statement[3], 'owner') ? undefined : 2
    case 'alter role':
      return after(statement, 'in', 'database')
    default:
      return ['grant', 'revoke', 'comment', 'security'].includes(words(statement, 1))
        ? after(statement, 'on', 'database')
        : undefined
  }
}

/** `in` and `on` are reserved words: a name like them is quoted. */
function after(
  statement: readonly Token[],
  ...[first, second]: readonly [string, string]
): number | undefined {
  const at = statement.findIndex(
    (token, index) => isWord(token, first) && isWord(statement[index + 1], second),
  )
  return at < 0 ? undefined : at + 2
}

function isSetting(statement: readonly Token[], at: number): boolean {
  return at === 2 || isWord(statement[0], 'comment')
}

/** `CREATE DATABASE shop WITH TEMPLATE = template0 … TABLESPACE = fast`; the name may be `tablespace` itself. */
function tablespaceOf(statement: readonly Token[]): string | undefined {
  const at = statement.findIndex((token, index) => index > 2 && isWord(token, 'tablespace'))
  return at < 0 ? undefined : statement[at + 2]?.text
}

function rename(script: string, statement: readonly Token[], at: number, name: string): string {
  const [first, old, last] = [statement[0], statement[at], statement.at(-1)]
  if (first === undefined || old === undefined || last === undefined)
    throw new TypeError('an empty statement')
  return script.slice(first.from, old.from) + pg.escapeIdentifier(name) + script.slice(old.to, last.to)
}

function textOf(script: string, statement: readonly Token[]): string {
  return script.slice(statement[0]?.from ?? 0, statement.at(-1)?.to ?? 0)
}

function words(statement: readonly Token[], count: number): string {
  return statement
    .slice(0, count)
    .map(({ kind, text }) => (kind === 'word' ? text : ''))
    .join(' ')
}

function isWord(token: Token | undefined, word: string): boolean {
  return token?.kind === 'word' && token.text === word
}
