import type { Comparison } from '@securyflex/shared/postgres'
import { count } from './written.ts'

/** What a restored database was compared in, a line each. */
export function describeComparison(comparison: Comparison | undefined): string[] {
  if (comparison === undefined) {
    return ['It could not be compared: the backup was made with BACKUP_FINGERPRINT=off.']
  }
  const { compared, differences, notes } = comparison
  const things = [
    count(compared.tables, 'table'),
    count(compared.rows, 'row'),
    compared.checksums > 0 ? `checksums of ${count(compared.checksums, 'table')}` : 'no checksums',
    count(compared.sequences, 'sequence'),
    ...(compared.materializedViews > 0 ? [count(compared.materializedViews, 'materialised view')] : []),
    ...(compared.largeObjects > 0 ? [count(compared.largeObjects, 'large object')] : []),
    ...(compared.extensions > 0 ? [count(compared.extensions, 'extension')] : []),
  ]
  const verdict = differences.length === 0 ? 'the same' : count(differences.length, 'difference')
  return [
    `Compared with what was backed up: ${things.join(', ')}: ${verdict}.`,
    ...[...differences, ...notes].map((line) => `  ${line}`),
  ]
}
