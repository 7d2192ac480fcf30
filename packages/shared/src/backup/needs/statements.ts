/** A word or symbol of SQL. Unquoted words are lower case, as PostgreSQL takes them. */
export interface Token {
  readonly kind: 'word' | 'quoted' | 'string' | 'symbol'
  readonly text: string
  /** Where it stands in the script: of its first character, and behind its last. */
  readonly from: number
  readonly to: number
}

type Match = readonly [pattern: RegExp, kind: Token['kind'] | 'nothing']

/** Each at the place where it stands; the first that fits wins. PostgreSQL's manual, "Lexical Structure". */
const matches: readonly Match[] = [
  [/\s+/y, 'nothing'],
  [/--[^\n]*(?:\n|$)/y, 'nothing'],
  [/\/\*[^]*?\*\//y, 'nothing'],
  [/[eE]'(?:[^'\\]|\\[^]|'')*'/y, 'string'],
  [/'(?:[^']|'')*'/y, 'string'],
  [/\$([A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$[^]*?\$\1\$/y, 'string'],
  [/"(?:[^"]|"")*"/y, 'quoted'],
  [/[A-Za-z_\x80-\uffff][\w$\x80-\uffff]*/y, 'word'],
  [/[^]/y, 'symbol'],
]

/** The statements of a script, without comments; what stands in quotes cannot be taken for a statement. */
export function* statements(sql: string): Generator<Token[]> {
  let statement: Token[] = []
  for (const token of tokens(sql)) {
    if (token.kind !== 'symbol' || token.text !== ';') {
      statement.push(token)
      continue
    }
    yield statement
    statement = []
  }
  if (statement.length > 0) yield statement
}

function* tokens(sql: string): Generator<Token> {
  let at = 0
  while (at < sql.length) {
    const [text, kind] = matchAt(sql, at)
    const from = at
    at += text.length
    if (kind !== 'nothing') yield { kind, text: meaning(text, kind), from, to: at }
  }
}

function matchAt(sql: string, at: number): readonly [text: string, kind: Match[1]] {
  for (const [pattern, kind] of matches) {
    pattern.lastIndex = at
    const found = pattern.exec(sql)
    if (found !== null) return [found[0], kind]
  }
  throw new TypeError('a symbol fits everywhere')
}

function meaning(text: string, kind: Token['kind']): string {
  if (kind === 'quoted') return text.slice(1, -1).replaceAll('""', '"')
  if (kind === 'string') return text.startsWith("'") ? text.slice(1, -1).replaceAll("''", "'") : text
  return kind === 'word' ? text.toLowerCase() : text
}
