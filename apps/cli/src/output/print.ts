import { redact } from '@securyflex/shared/errors'

/** What a command was asked for, on standard output. */
export function print(text: string): void {
  process.stdout.write(`${redact(text)}\n`)
}

/** The one JSON document of `--json`. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2))
}

/** What goes beside the answer, on standard error, so that standard output can be piped. */
export function note(text: string): void {
  process.stderr.write(`${redact(text)}\n`)
}

/** Rows in aligned columns, two spaces apart, the first row being the headings. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
