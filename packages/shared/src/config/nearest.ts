import { closest } from 'fastest-levenshtein'

/** The known name that is most like `name`, whatever its case. */
export function nearest(name: string, known: readonly string[]): string {
  const lowered = known.map((one) => one.toLowerCase())
  const found = lowered.indexOf(closest(name.toLowerCase(), lowered))
  return known[found] ?? name
}
