import { isDeepStrictEqual } from 'node:util'
import { BackupError } from '@securyflex/shared/errors'
import { Document, isMap, isNode, LineCounter, parseDocument, stringify, type YAMLMap } from 'yaml'
import { contentOf } from './read.ts'

/** What is added to a section, as it is to be read. */
export type Entry = Readonly<Record<string, unknown>>

/** The sections that hold entries by name. */
export type Section = 'sources' | 'destinations'

/**
 * The text of a configuration file with one more source or destination at the section's end. Everything else stays
 * as it stands, byte by byte where the file is written in the usual style; comments and the order of things always.
 * @throws CONFIG_INVALID if there is one of that name, or if the file is no YAML
 */
export function withEntry(text: string, section: Section, name: string, entry: Entry): string {
  const document = parseDocument(text)
  const [broken] = document.errors
  if (broken !== undefined) {
    throw new BackupError('CONFIG_INVALID', `The configuration file is no YAML: ${broken.message}`)
  }
  if (isMap(document.getIn([section])) && document.hasIn([section, name])) {
    throw new BackupError('CONFIG_INVALID', `There is “${name}” already, under ${section}.`, {
      hint: 'Give it another name, or edit the file.',
    })
  }
  const wanted = written(document, section, name, entry)
  const meaning = contentOf(parseDocument(wanted))
  const inserted = insert(text, section, name, entry)
  const read = parseDocument(inserted)
  return read.errors.length === 0 && isDeepStrictEqual(contentOf(read), meaning) ? inserted : wanted
}

/** The document written anew. */
function written(document: Document, section: Section, name: string, entry: Entry): string {
  const whole = isMap(document.contents) ? document : blank(document)
  const found = whole.get(section, true)
  const entries = isMap(found) ? found : (whole.createNode({}) as YAMLMap)
  if (entries !== found) whole.set(section, entries)
  entries.flow = false
  entries.set(whole.createNode(name), whole.createNode(entry))
  return whole.toString({ lineWidth: 0 })
}

/** A file that says nothing yet, with what is remarked in it. */
function blank({ commentBefore, comment }: Document): Document {
  const made = new Document({})
  if (isMap(made.contents)) made.contents.flow = false
  made.commentBefore = commentBefore ?? comment
  return made
}

/** The text with the entry's lines behind those of the section's last one, or with the section at its end. */
function insert(text: string, section: Section, name: string, entry: Entry): string {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const found = document.get(section, true)
  const start = isMap(found) && found.flow !== true ? found.range?.[0] : undefined
  const last = isMap(found) ? found.items.at(-1) : undefined
  const end = [last?.value, last?.key].find(isNode)?.range?.[1]
  if (start === undefined || end === undefined) {
    const block = stringify({ [section]: { [name]: entry } }, { lineWidth: 0 })
    return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${block}`
  }
  const indent = lines.linePos(start).col - 1
  const block = stringify({ [name]: entry }, { lineWidth: 0, indent: Math.max(1, indent) })
  const at = endOfLine(text, end)
  const [before, after] = [text.slice(0, at), text.slice(at)]
  return `${before}${before.endsWith('\n') ? '' : '\n'}${block.replaceAll(/^(?=.)/gm, ' '.repeat(indent))}${after}`
}

/** Behind the line on which what ends at `end` ends, with the remark that may follow it there. */
function endOfLine(text: string, end: number): number {
  if (text[end - 1] === '\n') return end
  const next = text.indexOf('\n', end)
  return next < 0 ? text.length : next + 1
}
