import { readFileSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { systemCode } from '@securyflex/shared/errors'
import { type Document, isScalar, LineCounter, type Node, parseDocument } from 'yaml'
import { z } from 'zod'
import type { Environment } from '../environment.ts'
import { nearest } from '../nearest.ts'
import type { Problem } from '../problem.ts'
import { type FileContent, fileSchema } from './grammar.ts'
import { fillIn, type GivenValues, withoutGiven } from './given.ts'
import { findImpossible } from './impossible.ts'

/** Where people look for it when `BACKUP_CONFIG` names no other. */
export const usualFile = 'backup.config.yaml'

const emptyRemedy =
  'Write for example sources: { shop: { url: postgresql://backup@db.example.com:5432/shop } }, or remove the file.'

/** A configuration file that has been read. */
export interface ConfigurationFile {
  readonly path: string
  readonly content: FileContent
  /** Whether nothing stands in it, but perhaps remarks. */
  readonly isBlank: boolean
  /** Where the value at `keys` stands, or the nearest thing around it: `backup.config.yaml:7`. */
  place(keys: readonly PropertyKey[]): string
  /** Reports what is wrong with the value at `keys`, with its line. */
  refuse(keys: readonly PropertyKey[], what: string, remedy: string, code?: Problem['code']): void
}

/**
 * Reads `backup.config.yaml`, or the file that `BACKUP_CONFIG` names. Every problem is reported with file and line.
 * @param instead what is read in place of what stands there
 * @returns undefined if there is none, or if it cannot be understood
 */
export function readConfigurationFile(
  named: string | undefined,
  environment: Environment,
  directory: string,
  problems: Problem[],
  instead?: string,
): ConfigurationFile | undefined {
  const path = resolve(directory, named ?? usualFile)
  const text = instead ?? readText(path, named !== undefined, problems)
  if (text === undefined) return undefined
  const known = problems.length
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const place = (offset: number) => `${basename(path)}:${String(lines.linePos(offset).line)}`
  let given: GivenValues = new Map()
  const refuseAt = (offset: number, keys: readonly PropertyKey[], problem: Omit<Problem, 'variable'>) => {
    const where = [place(offset), keys.map(String).join('.')].filter(Boolean).join(' ')
    // What a variable could not fill in is wrong once, not twice.
    if (!problems.some(({ variable }) => variable === where)) problems.push({ variable: where, ...problem })
  }
  const refuse: ConfigurationFile['refuse'] = (keys, what, remedy, code = 'CONFIG_INVALID') => {
    const unsaid = (text: string) => withoutGiven(text, document, keys, given)
    refuseAt(offsetOf(document, keys), keys, { what: unsaid(what), remedy: unsaid(remedy), code })
  }
  if (document.errors.length > 0) {
    for (const { message, pos } of document.errors) {
      const remedy =
        'Correct the line; a value with “:”, “#” or “*” needs quotation marks, for example database: "*".'
      problems.push({ variable: place(pos[0]), what: lower(message), remedy, code: 'CONFIG_INVALID' })
    }
    return undefined
  }
  for (const { node, ancestors, what, remedy } of findImpossible(document)) {
    refuseAt(node.range?.[0] ?? 0, keysOf(ancestors, node), { what, remedy, code: 'CONFIG_INVALID' })
  }
  // What these stand for cannot be looked at.
  if (problems.length > known) return undefined
  given = fillIn(document, environment, directory, (node, ancestors, { what, remedy }) => {
    refuse(keysOf(ancestors, node), what, remedy)
  })
  const parsed = fileSchema.safeParse(contentOf(document) ?? {})
  if (parsed.success) {
    const isBlank = document.contents === null
    return { path, content: parsed.data, isBlank, refuse, place: (keys) => place(offsetOf(document, keys)) }
  }
  const isThere = (keys: readonly PropertyKey[]) => document.hasIn(keys)
  for (const issue of parsed.error.issues) report(issue, isThere, refuse)
  return undefined
}

function readText(path: string, named: boolean, problems: Problem[]): string | undefined {
  try {
    const text = readFileSync(path, 'utf8')
    if (text.trim() !== '') return text
    // An editor or a full disk leaves that; it is no wish to back up nothing.
    const [variable, what] = [`${basename(path)}:1`, 'the file is empty']
    problems.push({ variable, what, remedy: emptyRemedy, code: 'CONFIG_INVALID' })
    return undefined
  } catch (error) {
    const why = systemCode(error) ?? String(error)
    if (!named && why === 'ENOENT') return undefined
    problems.push({
      variable: named ? 'BACKUP_CONFIG' : usualFile,
      what: `${path} cannot be read (${why})`,
      remedy: 'Correct the path, or the permissions of the file.',
      code: 'CONFIG_INVALID',
    })
    return undefined
  }
}

/** The way from the document's root to `node`. */
function keysOf(ancestors: readonly (Node | Document)[], node: Node): PropertyKey[] {
  const way = [...ancestors, node] as { items?: Node[]; key?: Node; value?: unknown }[]
  return way.flatMap((step, index): PropertyKey[] => {
    const next = way[index + 1]
    if (step.key !== undefined) return isScalar(step.key) ? [String(step.key.value)] : []
    const isList = step.items !== undefined && next?.key === undefined && next !== undefined
    return isList ? [step.items?.indexOf(next as Node) ?? 0] : []
  })
}

/** Where the value at `keys` stands, or the nearest thing around it. */
function offsetOf(document: Document, keys: readonly PropertyKey[]): number {
  for (let depth = keys.length; depth >= 0; depth--) {
    const node = document.getIn(keys.slice(0, depth), true) as Node | undefined
    if (node?.range) return node.range[0]
  }
  return 0
}

function report(
  issue: z.core.$ZodIssue,
  isThere: (keys: readonly PropertyKey[]) => boolean,
  refuse: ConfigurationFile['refuse'],
): void {
  const remedy = remedyAt(issue.path)
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) {
      const known = knownKeys(issue.path)
      const correct = `The nearest known is ${nearest(key, known)}; correct the name or remove it.`
      refuse([...issue.path, key], 'there is no such setting', known.length === 0 ? remedy : correct)
    }
  } else if (issue.code === 'invalid_key') {
    refuse(issue.path, issue.issues[0]?.message ?? issue.message, 'Write for example shop.')
  } else if (issue.code === 'custom') {
    refuse(issue.path, issue.message, (issue.params?.['remedy'] as string | undefined) ?? remedy)
  } else if (issue.code === 'invalid_type') {
    // A single value may stand for a list of it, and is then not there as the list's first.
    const isMissing = typeof issue.path.at(-1) !== 'number' && !isThere(issue.path)
    refuse(issue.path, isMissing ? 'it is missing' : wrongShape(issue), remedy)
  } else {
    refuse(issue.path, lower(issue.message), remedy)
  }
}

/** What could stand at a place, as the grammar has it. */
function remedyAt(path: readonly PropertyKey[]): string {
  let schema: z.core.$ZodType | undefined = fileSchema
  let key = ''
  for (const step of path) {
    // Of a list, what it may be as a whole is told.
    if (typeof step === 'number') break
    schema = child(bare(schema), step)
    key = String(step)
  }
  return `Write for example ${key === '' ? '' : `${key}: `}${exampleOf(schema)}.`
}

/** A valid value: the schema's own example, or a map with that of its first setting. */
function exampleOf(schema: z.core.$ZodType | undefined): string {
  const own = metaOf(schema)
  if (own !== undefined) return own
  const whole = bare(schema)
  const entry = definitionOf(whole)?.valueType
  if (entry !== undefined) return `{ shop: ${exampleOf(entry)} }`
  const settings = Object.entries(shapeOf(whole) ?? {})
  const needed = settings.filter(([, one]) => definitionOf(one)?.type !== 'optional')
  const told = needed.length > 0 ? needed : settings.slice(0, 1)
  return `{ ${told.map(([name, one]) => `${name}: ${exampleOf(one)}`).join(', ')} }`
}

/** Said of a schema, or of what it wraps. */
function metaOf(schema: z.core.$ZodType | undefined): string | undefined {
  if (schema === undefined) return undefined
  const [example] = (z.globalRegistry.get(schema)?.['examples'] ?? []) as readonly string[]
  return example ?? metaOf(definitionOf(schema)?.innerType)
}

function wrongShape(issue: z.core.$ZodIssueInvalidType): string {
  const shapes: Readonly<Record<string, string>> = {
    object: 'it has to be a map, with lines below it that are indented',
    record: 'it has to be a map, with a name on each line below it',
    array: 'it has to be a value, or a list of them',
  }
  return shapes[issue.expected] ?? lower(issue.message)
}

/** The settings that may stand at a place, found by asking the schema about one that may not. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  let schema: z.core.$ZodType | undefined = fileSchema
  for (const key of path) schema = child(bare(schema), key)
  const shape = shapeOf(bare(schema))
  return shape === undefined ? [] : Object.keys(shape)
}

type Definition = {
  readonly type: string
  readonly innerType?: z.core.$ZodType
  readonly out?: z.core.$ZodType
  readonly valueType?: z.core.$ZodType
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>
}

const definitionOf = (schema: z.core.$ZodType | undefined) => schema?._zod.def as Definition | undefined

/** Without what is optional or read first. */
function bare(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  const definition = definitionOf(schema)
  const inner = definition?.innerType ?? (definition?.type === 'pipe' ? definition.out : undefined)
  return inner === undefined ? schema : bare(inner)
}

const shapeOf = (schema: z.core.$ZodType | undefined) => definitionOf(schema)?.shape

function child(schema: z.core.$ZodType | undefined, key: PropertyKey): z.core.$ZodType | undefined {
  return shapeOf(schema)?.[String(key)] ?? definitionOf(schema)?.valueType
}

/** What stands in a document. A fleet may refer to one value a thousand times; the grammar bounds how deep. */
export function contentOf(document: Document): unknown {
  return document.toJS({ maxAliasCount: -1 })
}

function lower(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1)
}
