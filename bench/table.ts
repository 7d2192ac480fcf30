import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { inMegabytes } from './measure.ts'
import { leastRounds, leastSize, sections } from './options.ts'
import { versions } from './prerequisites.ts'
import type { Stage } from './stage.ts'

/** A line of the table. */
export interface Row {
  readonly what: string
  /** Empty for what is only reported. */
  readonly target: string
  readonly figure: string
  /** Where the figure comes from. */
  readonly of: string
  /** Undefined for what is only reported. */
  readonly met: boolean | undefined
}

export function atMost(what: string, target: number, figure: number, of: string): Row {
  return { what, target: `≤ ${String(target)}`, figure: written(figure), of, met: figure <= target }
}

export function atLeast(what: string, target: number, figure: number, of: string): Row {
  return { what, target: `≥ ${String(target)}`, figure: written(figure), of, met: figure >= target }
}

/** A target that cannot be measured is missed. */
export function missed(what: string, target: string, why: string): Row {
  return { what, target, figure: '–', of: why, met: false }
}

/** What has no target. */
export function note(what: string, figure: string): Row {
  return { what, target: '', figure, of: '', met: undefined }
}

function written(figure: number): string {
  return figure >= 100 ? figure.toFixed(0) : figure.toFixed(figure < 0.1 ? 4 : 2)
}

const marks = { true: 'yes', false: '**NO**', undefined: '' }

function tableOf(rows: readonly Row[]): string {
  const cells = [
    ['what', 'target', 'figure', 'of', 'met'],
    ...rows.map(({ what, target, figure, of, met }) => [
      // A pipe ends a cell of Markdown, within code too.
      what.replaceAll('|', '\\|'),
      target,
      figure,
      of,
      marks[String(met) as 'true'],
    ]),
  ]
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...cells.map((row) => (row[column] ?? '').length)))
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const [head = [], ...body] = cells
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body.map(line)].join(
    '\n',
  )
}

/** Whether these figures count: full size, enough rounds. */
function counts({ options, archiveBytes }: Stage): boolean {
  return archiveBytes >= leastSize && options.rounds >= leastRounds
}

export function printTable(stage: Stage, rows: readonly Row[]): void {
  const small = counts(stage) ? '' : ' (for development: these figures are not written down)'
  process.stdout.write(
    `\n${inMegabytes(stage.archiveBytes)}, ${String(stage.options.rounds)} rounds${small}\n\n${tableOf(rows)}\n`,
  )
  const missing = rows.filter(({ met }) => met === false)
  for (const { what, target, figure } of missing)
    process.stdout.write(`Missed: ${what}: ${figure}, not ${target}.\n`)
}

const page = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url))
const [begin, end] = ['<!-- measured: begin -->', '<!-- measured: end -->']

/** Puts the table into docs/benchmarks.md, between its marks; what people wrote around it stays. */
export async function writeTable(stage: Stage, rows: readonly Row[]): Promise<void> {
  if (!counts(stage)) return
  const text = await readFile(page, 'utf8')
  const [before, rest] = text.split(begin)
  const after = rest?.split(end)[1]
  if (before === undefined || after === undefined)
    throw new Error(`${page} has lost its marks ${begin} and ${end}.`)
  await writeFile(
    page,
    `${before}${begin}\n\n${await conditions(stage)}\n\n${tableOf(rows)}\n\n${end}${after}`,
  )
}

async function conditions({ archiveBytes, options, tools }: Stage): Promise<string> {
  const left = sections.filter((name) => !options.only.includes(name))
  const machine = `${String(availableParallelism())} cores (${cpus()[0]?.model.trim() ?? 'unknown'})`
  return [
    `Measured on ${new Date().toISOString().slice(0, 10)}: ${machine}, Node ${process.versions.node}, PostgreSQL ${tools.version} on the same machine;`,
    `a database whose uncompressed dump has ${inMegabytes(archiveBytes)}; median of ${String(options.rounds)}, in turn.`,
    `Beside it: ${(await versions()).join('; ')}.`,
    ...(left.length === 0 ? [] : [`Sections that were not measured then: ${left.join(', ')}.`]),
  ].join('\n')
}
