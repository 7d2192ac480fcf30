/**
 * pg_dump's patterns of names (psql's manual, "Patterns"; fe_utils/string_utils.c, patternToSQLRegex): `*` stands for
 * any characters and `?` for one, letters outside quotes are folded to lower case, a dot separates schema and name,
 * what stands between double quotes is meant as it is, and two of them mean one. What else is special in a regular
 * expression keeps its meaning outside quotes, but for `$` and `[]`.
 */

/** What is special in a regular expression of PostgreSQL. */
const special = '|*+?()[]{}.^$\\'

/** The parts of a pattern between its dots, each as a regular expression that matches a whole name. */
export function patternParts(pattern: string): string[] {
  const parts: string[] = []
  let part = ''
  let quoted = false
  for (let at = 0; at < pattern.length; at++) {
    const letter = pattern.charAt(at)
    const next = pattern.charAt(at + 1)
    if (letter === '"') {
      if (quoted && next === '"') {
        part += '"'
        at += 1
      } else quoted = !quoted
    } else if (letter === '.' && !quoted) {
      parts.push(part)
      part = ''
    } else part += quoted ? literal(letter) : meant(letter, next)
  }
  return [...parts, part].map((text) => `^(${text})$`)
}

function literal(letter: string): string {
  return special.includes(letter) ? `\\${letter}` : letter
}

/** A letter outside quotes. Only those of ASCII are folded, as pg_dump does with those that have several bytes. */
function meant(letter: string, next: string): string {
  if (letter === '*') return '.*'
  if (letter === '?') return '.'
  if (letter === '$' || (letter === '[' && next === ']')) return `\\${letter}`
  return /[A-Z]/.test(letter) ? letter.toLowerCase() : letter
}
