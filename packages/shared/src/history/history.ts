import { asBackupError, BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import { keyRecordSchema } from '@securyflex/shared/keys'
import { decodeDocument, encodeDocument, layout, runOf, vouchingKey } from '@securyflex/shared/repository'
import { type Storage, within } from '@securyflex/shared/storage'
import { type RunReport, runReportSchema } from './report.ts'

/** A report carries the record of the key that vouches for it, as a manifest does. */
const storedReport = runReportSchema.extend({ key: keyRecordSchema.nullable() })

/** What a store has for taking a report, in ms: a run must not wait for one that is silent. */
const patience = 10_000

/**
 * Writes `report` to every store that answers within ten seconds; what a silent one was sent does not come later.
 * @param taken called when the first store has it
 * @returns the stores that did not take it, with the reason
 */
export async function writeReport(
  storages: readonly Storage[],
  report: RunReport,
  keys: KeyRing,
  taken: () => void = () => undefined,
): Promise<{ storage: Storage; why: string }[]> {
  const name = layout.report(report.source, report.run)
  const problems = await Promise.all(
    storages.map(async (storage) => {
      try {
        await within(patience, storage, async (place) => {
          const key = await vouchingKey(place, keys)
          await place.put(name, encodeDocument(name, { ...report, key: key?.record ?? null }, key))
        })
        taken()
        return []
      } catch (error) {
        return [{ storage, why: asBackupError(error).message }]
      }
    }),
  )
  return problems.flat()
}

/** A report as found: read, or why it could not be. */
export type FoundReport =
  | { readonly run: string; readonly report: RunReport; readonly problem?: undefined }
  | { readonly run: string; readonly report?: undefined; readonly problem: string }

/** The reports of a source, newest first, `most` at the most. */
export async function* findReports(
  storage: Storage,
  source: string,
  keys: KeyRing,
  most = Number.POSITIVE_INFINITY,
): AsyncGenerator<FoundReport> {
  const runs = await newestFirst(storage, source)
  for (const run of runs.slice(0, most)) {
    const found = await findReport(storage, source, run, keys)
    if (found !== undefined) yield found
  }
}

/** The newest run of a source that has a report; undefined before its first. */
export async function newestRun(storage: Storage, source: string): Promise<string | undefined> {
  const [newest] = await newestFirst(storage, source)
  return newest
}

async function newestFirst(storage: Storage, source: string): Promise<string[]> {
  const runs: string[] = []
  for await (const { key } of storage.list(layout.runs(source))) {
    const run = runOf(key)
    if (run !== undefined) runs.push(run)
  }
  return runs.sort().reverse()
}

async function findReport(
  storage: Storage,
  source: string,
  run: string,
  keys: KeyRing,
): Promise<FoundReport | undefined> {
  try {
    const report = await readReport(storage, source, run, keys)
    return report === undefined ? undefined : { run, report }
  } catch (error) {
    const known = asBackupError(error)
    if (known.class === 'transient') throw error
    return { run, problem: known.message }
  }
}

/**
 * The report of one run; undefined if there is none. Without any key a report is read unchecked: it decides
 * nothing, and status must work on a machine that holds no key.
 * @throws MANIFEST_DAMAGED, KEY_WRONG
 */
export async function readReport(
  storage: Storage,
  source: string,
  run: string,
  keys: KeyRing,
): Promise<RunReport | undefined> {
  const name = layout.report(source, run)
  const bytes = await storage.get(name)
  if (bytes === undefined) return undefined
  const document = decodeDocument(name, bytes)
  const parsed = storedReport.safeParse(document.content)
  if (!parsed.success) {
    throw new BackupError('MANIFEST_DAMAGED', `${name} is not the report of a run.`, { cause: parsed.error })
  }
  const { key, ...report } = parsed.data
  if (key === null || !keys.empty) document.check(key === null ? undefined : await keys.open(key))
  return report
}
