import type { Manifest } from '@securyflex/shared/repository'
import { note } from './print.ts'

/** What the fields of a manifest's selection mean; others, of a newer version, are shown by their names. */
const phrases: Readonly<Record<string, string>> = {
  schemas: 'only the schemas',
  tables: 'only the tables',
  withoutSchemas: 'not the schemas',
  withoutTables: 'not the tables',
  withoutTableData: 'not the rows of',
}

/** Says of a partial backup that it is one, and of what. */
export function notePartial({ run, options: { selection } }: Manifest): void {
  if (selection === undefined) return
  const parts = Object.entries(selection)
    .filter(([, patterns]) => patterns.length > 0)
    .map(([field, patterns]) => `${phrases[field] ?? field} ${patterns.join(', ')}`)
  note(`The backup ${run} is partial: it holds ${parts.join('; ')}.`)
}
