import { type Document, isAlias, isCollection, isPair, isScalar, type Node, type Scalar, visit } from 'yaml'
import type { Environment } from '../environment.ts'
import { type Substituted, substitute } from './substitute.ts'

/** A value of the file that variables were filled in to. */
interface Given {
  /** As it stands in the file: `0 ${HOUR} * * *`. */
  readonly written: string
  readonly text: string
  readonly variables: Readonly<Record<string, string>>
}

/** What variables gave, by where it stands. */
export type GivenValues = ReadonlyMap<Node, Given>

/** Puts the variables' values in place of `${NAME}` in every value; a key is a name, and has none. */
export function fillIn(
  document: Document,
  environment: Environment,
  directory: string,
  refuse: (node: Scalar, ancestors: readonly Node[], problem: NonNullable<Substituted['problem']>) => void,
): GivenValues {
  const given = new Map<Node, Given>()
  visit(document, {
    Scalar(key, node, ancestors) {
      if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('$')) return
      const filled = substitute(node.value, environment, directory)
      if (filled.problem !== undefined) {
        refuse(node, ancestors as Node[], filled.problem)
        return
      }
      given.set(node, { written: node.value, text: filled.text.trim(), variables: filled.variables })
      node.value = filled.text
    },
  })
  return given
}

/** Shorter values are looked for in quotations only: many are words of our own. */
const shortestSearched = 4

/**
 * A message about the value at `keys` that names variables in place of what they gave: that may be a secret which came
 * to the wrong place. Messages quote values in “”, whole or in part; hints may have them whole.
 */
export function withoutGiven(
  message: string,
  document: Document,
  keys: readonly PropertyKey[],
  values: GivenValues,
): string {
  const node = nodeAt(document, keys)
  const given = node === undefined ? undefined : values.get(node)
  if (given === undefined) return message
  const names = Object.keys(given.variables).map((name) => `\${${name}}`)
  // Where one quotation ends could not be told then.
  if (/[“”]/.test(given.text) && message.includes('“'))
    return `what ${names.join(' and ')} gives is not possible here`
  const said = message.replaceAll(/“([^“”]*)”/g, (_, quoted: string) => `“${unsaid(quoted, given)}”`)
  const long = Object.entries(given.variables).filter(([, value]) => value.length >= shortestSearched)
  return long.reduce((text, [name, value]) => text.replaceAll(asWord(value), () => `\${${name}}`), said)
}

function asWord(value: string): RegExp {
  const literally = value.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
  return new RegExp(`(?<![\\p{L}\\p{N}])${literally}(?![\\p{L}\\p{N}])`, 'gu')
}

function unsaid(quoted: string, { written, text, variables }: Given): string {
  if (quoted === text) return written
  let said = quoted
  for (const [name, value] of Object.entries(variables)) {
    if (value !== '' && said.includes(value)) said = said.replaceAll(value, () => `\${${name}}`)
    // Of a piece without letters and digits nothing can be learned.
    else if (/[\p{L}\p{N}]/u.test(quoted) && value.includes(quoted)) return '…'
  }
  return said
}

/** What stands at `keys`, aliases followed; the single value, where that stands for a list or a map. */
function nodeAt(document: Document, keys: readonly PropertyKey[]): Node | undefined {
  let node = resolved(document, document.contents)
  for (const key of keys) {
    if (!isCollection(node)) break
    const next = node.items.find(
      (item, index) => (isPair(item) && isScalar(item.key) ? String(item.key.value) : index) === key,
    )
    node = resolved(document, isPair(next) ? next.value : next)
  }
  return node
}

function resolved(document: Document, node: unknown): Node | undefined {
  return (isAlias(node) ? node.resolve(document) : (node ?? undefined)) as Node | undefined
}
