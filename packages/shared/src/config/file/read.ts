import { readFileSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { systemCode } from '@securyflex/shared/errors'
import { type Document, isScalar, LineCounter, type Node, parseDocument, visit } from 'yaml'
import type { z } from 'zod'
import type { Environment } from '../environment.ts'
import { nearest } from '../nearest.ts'
import type { Problem } from '../problem.ts'
import { type FileContent, fileSchema } from './grammar.ts'
import { substitute } from './substitute.ts'

/** Where people look for it when `BACKUP_CONFIG` names no other. */
export const usualFile = 'backup.config.yaml'

/** A configuration file that has been read. */
export interface ConfigurationFile {
  readonly path: string
  readonly content: FileContent
  /** Reports what is wrong with the value at `keys`, with its line. */
  refuse(keys: readonly PropertyKey[], what: string, remedy: string, code?: Problem['code']): void
}

/**
 * Reads `backup.config.yaml`, or the file that `BACKUP_CONFIG` names. Every problem is reported with file and line.
 * @returns undefined if there is none, or if it cannot be understood
 */
export function readConfigurationFile(
  named: string | undefined,
  environment: Environment,
  directory: string,
  problems: Problem[],
): ConfigurationFile | undefined {
  const path = resolve(directory, named ?? usualFile)
  const text = readText(path, named !== undefined, problems)
  if (text === undefined) return undefined
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const place = (offset: number) => `${basename(path)}:${String(lines.linePos(offset).line)}`
  const refuse: ConfigurationFile['refuse'] = (keys, what, remedy, code = 'CONFIG_INVALID') => {
    const where = [place(offsetOf(document, keys)), keys.map(String).join('.')].filter(Boolean).join(' ')
    // What a variable could not fill in is wrong once, not twice.
    if (problems.some(({ variable }) => variable === where)) return
    problems.push({ variable: where, what, remedy, code })
  }
  if (document.errors.length > 0) {
    for (const { message, pos } of document.errors) {
      const remedy = 'Correct the line; a value with “:”, “#” or “*” needs quotation marks.'
      problems.push({ variable: place(pos[0]), what: lower(message), remedy, code: 'CONFIG_INVALID' })
    }
    return undefined
  }
  fillIn(document, environment, directory, refuse)
  const parsed = fileSchema.safeParse(document.toJS() ?? {})
  if (parsed.success) return { path, content: parsed.data, refuse }
  const isThere = (keys: readonly PropertyKey[]) => document.hasIn(keys)
  for (const issue of parsed.error.issues) report(issue, isThere, refuse)
  return undefined
}

function readText(path: string, named: boolean, problems: Problem[]): string | undefined {
  try {
    return readFileSync(path, 'utf8')
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

/** Puts the variables' values in place of `${NAME}`. */
function fillIn(
  document: Document,
  environment: Environment,
  directory: string,
  refuse: ConfigurationFile['refuse'],
): void {
  visit(document, {
    Scalar(_, node, ancestors) {
      if (typeof node.value !== 'string' || !node.value.includes('$')) return
      const filled = substitute(node.value, environment, directory)
      if (filled.problem === undefined) node.value = filled.text
      else refuse(keysOf(ancestors as Node[], node), filled.problem.what, filled.problem.remedy)
    },
  })
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
  const remedy = 'docs/configuration.md describes the file.'
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
    refuse(issue.path, isThere(issue.path) ? wrongShape(issue) : 'it is missing', remedy)
  } else {
    refuse(issue.path, lower(issue.message), remedy)
  }
}

function wrongShape(issue: z.core.$ZodIssueInvalidType): string {
  const shapes: Readonly<Record<string, string>> = {
    object: 'it has to be a map, with lines below it that are indented',
    record: 'it has to be a map, with a name on each line below it',
    array: 'it has to be a value, or a list of them',
  }
  return shapes[issue.expected] ?? issue.message
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

function lower(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1)
}
