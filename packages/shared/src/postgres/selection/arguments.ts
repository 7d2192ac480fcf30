import type { Selection } from '@securyflex/shared/config'

/** pg_dump's options for a selection. Patterns that name what is to be dumped must each match something. */
export function selectionArguments(selection: Selection | undefined): string[] {
  if (selection === undefined) return []
  const { schemas, tables, withoutSchemas, withoutTables, withoutTableData } = selection
  const each = (option: string, patterns: readonly string[]) =>
    patterns.map((pattern) => `--${option}=${pattern}`)
  return [
    ...(schemas.length + tables.length > 0 ? ['--strict-names'] : []),
    ...each('schema', schemas),
    ...each('table', tables),
    ...each('exclude-schema', withoutSchemas),
    ...each('exclude-table', withoutTables),
    ...each('exclude-table-data', withoutTableData),
  ]
}
