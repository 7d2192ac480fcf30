import { statements, type Token } from './statements.ts'

/** What a server must have before a script can run on it. */
export interface Needs {
  readonly roles: readonly string[]
  readonly tablespaces: readonly string[]
}

/** Words that stand where a role could and name none. */
const noRoles = new Set(['public', 'current_user', 'session_user', 'current_role', 'default'])

/** The roles and tablespaces that a script of pg_restore names as owners, grantees and places. Pure. */
export function needsOf(sql: string): Needs {
  const roles = new Set<string>()
  const tablespaces = new Set<string>()
  for (const statement of statements(sql)) {
    for (const role of rolesOf(statement)) roles.add(role)
    const tablespace = tablespaceOf(statement)
    if (tablespace !== undefined) tablespaces.add(tablespace)
  }
  return { roles: [...roles].sort(), tablespaces: [...tablespaces].sort() }
}

function rolesOf(statement: readonly Token[]): string[] {
  const [first, second] = statement
  const begins = `${first?.text ?? ''} ${second?.text ?? ''}`
  switch (first?.kind === 'word' ? first.text : '') {
    case 'grant':
      return namesAfter(statement, 'to')
    case 'revoke':
      return namesAfter(statement, 'from')
    case 'alter':
      if (begins !== 'alter default')
        return isWord(statement.at(-3), 'owner') ? namesAfter(statement, 'to') : []
      return [
        ...namesAfter(statement, 'role'),
        ...namesAfter(statement, 'to'),
        ...namesAfter(statement, 'from'),
      ]
    case 'create':
      if (begins === 'create policy') return namesAfter(statement, 'to')
      return begins === 'create user' ? namesAfter(statement, 'for') : []
    case 'set':
      return begins === 'set session' ? namesAfter(statement, 'authorization') : []
    default:
      return []
  }
}

/** The names, divided by commas, after the last `keyword`, which is a reserved word: a name like it is quoted. */
function namesAfter(statement: readonly Token[], keyword: string): string[] {
  const at = statement.findLastIndex((token) => isWord(token, keyword))
  const names: string[] = []
  for (let index = at + 1; at >= 0 && index < statement.length; index += 2) {
    const token = statement[index]
    if (token !== undefined && isName(token)) names.push(token.text)
    if (statement[index + 1]?.text !== ',') break
  }
  return names
}

function isName({ kind, text }: Token): boolean {
  return kind === 'quoted' || kind === 'string' || (kind === 'word' && !noRoles.has(text))
}

/** `SET default_tablespace = fast;` stands before what lies there; an empty string is the database's own. */
function tablespaceOf([first, second, , name]: readonly Token[]): string | undefined {
  if (!isWord(first, 'set') || !isWord(second, 'default_tablespace')) return undefined
  return name === undefined || name.text === '' ? undefined : name.text
}

function isWord(token: Token | undefined, word: string): boolean {
  return token?.kind === 'word' && token.text === word
}
