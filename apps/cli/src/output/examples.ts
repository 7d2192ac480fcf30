/** A command line as it is typed in a checkout; `--no` keeps npx from fetching a stranger of that name. */
export function typed(line = ''): string {
  return `npx --no securyflex-backup ${line}`.trim()
}

/** The examples below a command's `--help`. Each is a line and what it does. */
export function examples(...lines: readonly (readonly [line: string, does: string])[]): string {
  const width = Math.max(...lines.map(([line]) => typed(line).length))
  const shown = lines.map(([line, does]) => `  ${typed(line).padEnd(width)}  ${does}`)
  return `\nExamples:\n${shown.join('\n')}`
}

/** `word` as a shell takes it for one. */
export function quoted(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
