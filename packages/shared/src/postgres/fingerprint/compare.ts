import type { Fingerprint, SequenceFingerprint, TableFingerprint } from './fingerprint.ts'

/** What two fingerprints have in common, and in what they differ. */
export interface Comparison {
  /** How much was compared; rows are those of the tables that were found on both sides. */
  readonly compared: {
    readonly tables: number
    readonly rows: number
    readonly checksums: number
    readonly sequences: number
    readonly materializedViews: number
    readonly largeObjects: number
    readonly extensions: number
  }
  /** Each a full sentence; empty when the copy holds what the source held. */
  readonly differences: readonly string[]
  /** What is no loss but good to know, and what could not be compared. */
  readonly notes: readonly string[]
}

/** Compares what a backup recorded with what a restored database holds. Pure. */
export function compareFingerprints(expected: Fingerprint, found: Fingerprint): Comparison {
  const differences: string[] = []
  const notes: string[] = []
  const bothHave = expected.level !== 'counts' && found.level !== 'counts'
  const obstacle = bothHave ? checksumObstacle(expected, found) : undefined
  if (obstacle !== undefined) notes.push(obstacle)
  const withChecksums = bothHave && obstacle === undefined

  let rows = 0
  let checksums = 0
  let parts = 0
  const [left, right] = [
    joinHashed(expected.tables, expected.tables),
    joinHashed(found.tables, expected.tables),
  ]
  const tables = pair('Table', left, right, differences, (left, right) => {
    rows += right.rows ?? 0
    parts += right.parts - 1
    if (withChecksums && left.checksum !== undefined && right.checksum !== undefined) checksums += right.parts
    compareTable(left, right, withChecksums, differences, notes)
  })
  const sequences = pair('Sequence', expected.sequences, found.sequences, differences, (left, right) => {
    compareSequence(left, right, differences)
  })
  const views = pair(
    'Materialised view',
    expected.materializedViews,
    found.materializedViews,
    differences,
    (left, right) => {
      if (left.populated === right.populated) return
      differences.push(
        `Materialised view ${nameOf(left)} is ${right.populated ? '' : 'not '}populated in the copy, unlike in the source.`,
      )
    },
  )
  compareLargeObjects(expected, found, withChecksums, differences)
  const extensions = compareExtensions(expected, found, differences, notes)
  compareDatabases(expected, found, notes)

  return {
    compared: {
      tables: tables + parts,
      rows,
      checksums,
      sequences,
      materializedViews: views,
      largeObjects: found.largeObjects.count,
      extensions,
    },
    differences,
    notes,
  }
}

/** Why the checksums of the two say nothing about each other, if so. */
function checksumObstacle(expected: Fingerprint, found: Fingerprint): string | undefined {
  if (expected.database.encoding !== found.database.encoding) {
    return `Checksums were not compared: the encodings differ (${expected.database.encoding} and ${found.database.encoding}).`
  }
  if (expected.probe !== found.probe) return 'Checksums were not compared: the two servers hash differently.'
  return undefined
}

interface Named {
  readonly schema: string
  readonly name: string
}

function nameOf({ schema, name }: Named): string {
  return `${schema}.${name}`
}

/** A table, or the parts of a hash-partitioned one as if they were one. */
interface Joined extends TableFingerprint {
  readonly parts: number
}

/**
 * Joins the parts between which `recorded` says that rows may have moved: their rows and sums are added up.
 * A fingerprint that says nothing of that has its parts compared one by one.
 */
function joinHashed(tables: readonly TableFingerprint[], recorded: readonly TableFingerprint[]): Joined[] {
  const moving = new Set(
    recorded.flatMap(({ hashed }) => (hashed === undefined ? [] : [JSON.stringify(hashed)])),
  )
  const joined = new Map<string, Joined>()
  for (const table of tables) {
    const [schema, name] =
      table.hashed !== undefined && moving.has(JSON.stringify(table.hashed))
        ? table.hashed
        : [table.schema, table.name]
    const key = JSON.stringify([schema, name])
    const before = joined.get(key)
    joined.set(key, before === undefined ? { ...table, schema, name, parts: 1 } : add(before, table))
  }
  return [...joined.values()]
}

function add(left: Joined, { rows, checksum }: TableFingerprint): Joined {
  const { checksum: sums, ...rest } = left
  const added = {
    ...rest,
    parts: left.parts + 1,
    rows: left.rows === null || rows === null ? null : left.rows + rows,
  }
  if (sums === undefined || checksum === undefined) return added
  const sum = (index: 0 | 1) => String(BigInt(sums[index]) + BigInt(checksum[index]))
  return { ...added, checksum: [sum(0), sum(1)] }
}

/** Calls `compare` for what both sides have, and notes what only one has; the number of the former. */
function pair<Thing extends Named>(
  kind: string,
  expected: readonly Thing[],
  found: readonly Thing[],
  differences: string[],
  compare: (left: Thing, right: Thing) => void,
): number {
  const key = ({ schema, name }: Named) => JSON.stringify([schema, name])
  const rest = new Map(found.map((thing) => [key(thing), thing]))
  let pairs = 0
  for (const left of expected) {
    const right = rest.get(key(left))
    if (right === undefined) {
      differences.push(`${kind} ${nameOf(left)} is missing in the copy.`)
      continue
    }
    rest.delete(key(left))
    pairs++
    compare(left, right)
  }
  for (const extra of rest.values()) differences.push(`${kind} ${nameOf(extra)} is in the copy only.`)
  return pairs
}

function compareTable(
  left: TableFingerprint,
  right: TableFingerprint,
  withChecksums: boolean,
  differences: string[],
  notes: string[],
): void {
  if (left.rows === null || right.rows === null) {
    notes.push(
      `The rows of table ${nameOf(left)} were not compared: it is unlogged, and was read on a standby.`,
    )
  } else if (left.rows !== right.rows) {
    differences.push(
      `Table ${nameOf(left)} has ${String(right.rows)} rows in the copy instead of ${String(left.rows)}.`,
    )
  } else if (withChecksums && (left.checksum === undefined || right.checksum === undefined)) {
    notes.push(
      `The content of table ${nameOf(left)} was not compared, only its number of rows: one is too long for a checksum.`,
    )
  } else if (withChecksums && left.checksum?.join() !== right.checksum?.join()) {
    differences.push(
      `Table ${nameOf(left)} has as many rows in the copy (${String(left.rows)}), but not the same ones.`,
    )
  }
}

/** A sequence that has moved on since is no loss; one that is behind gives out numbers again. */
function compareSequence(left: SequenceFingerprint, right: SequenceFingerprint, differences: string[]): void {
  if (left.cycles) return
  const up = BigInt(left.increment) > 0n
  const next = (one: SequenceFingerprint) =>
    BigInt(one.lastValue) * 2n + (one.isCalled ? (up ? 1n : -1n) : 0n)
  const behind = up ? next(right) < next(left) : next(right) > next(left)
  if (behind) {
    differences.push(
      `Sequence ${nameOf(left)} stands at ${standing(right)} in the copy, behind ${standing(left)}.`,
    )
  }
}

function standing({ lastValue, isCalled }: SequenceFingerprint): string {
  return isCalled ? lastValue : `${lastValue} (unused)`
}

function compareLargeObjects(
  { largeObjects: left }: Fingerprint,
  { largeObjects: right }: Fingerprint,
  withChecksums: boolean,
  differences: string[],
): void {
  if (left.count !== right.count) {
    differences.push(`Large objects: ${String(right.count)} in the copy instead of ${String(left.count)}.`)
  } else if (
    withChecksums &&
    left.checksum !== undefined &&
    left.checksum.join() !== right.checksum?.join()
  ) {
    differences.push(
      `Large objects: as many in the copy (${String(left.count)}), but not with the same content.`,
    )
  }
}

function compareExtensions(
  { extensions: left }: Fingerprint,
  { extensions: right }: Fingerprint,
  differences: string[],
  notes: string[],
): number {
  for (const [name, version] of Object.entries(left)) {
    const there = right[name]
    if (there === undefined) differences.push(`Extension ${name} is missing in the copy.`)
    else if (there !== version)
      notes.push(`Extension ${name} has version ${there} in the copy instead of ${version}.`)
  }
  for (const name of Object.keys(right)) {
    if (left[name] === undefined) notes.push(`Extension ${name} is in the copy only.`)
  }
  return Object.keys(left).length
}

function compareDatabases(
  { database: left }: Fingerprint,
  { database: right }: Fingerprint,
  notes: string[],
): void {
  const labels = {
    owner: 'owner',
    encoding: 'encoding',
    collate: 'collation',
    characterType: 'character type',
    localeProvider: 'locale provider',
    locale: 'locale',
    icuRules: 'ICU rules',
  } as const
  for (const [field, label] of Object.entries(labels) as [keyof typeof labels, string][]) {
    if (left[field] === right[field]) continue
    notes.push(`The copy has the ${label} ${right[field] ?? 'none'} instead of ${left[field] ?? 'none'}.`)
  }
}
