/** Headings of docs/configuration.md, in its order. */
export const sections = [
  'Database',
  'Redis',
  'Where backups are kept',
  'Compression',
  'Encryption',
  'Schedule and retention',
  'Announcements',
  'Dashboard',
  'Workers',
] as const

/** One environment variable: everything that validation and documentation say about it. */
export interface Variable<Value> {
  readonly section: (typeof sections)[number]
  /** What it is; sentences. */
  readonly about: string
  /** The value where the variable is not set. */
  readonly fallback: Value
  /** The default in the words of the documentation. */
  readonly shownDefault: string
  /** A valid value. */
  readonly example: string
  /** Never shown; may also be given by `<NAME>_FILE`. */
  readonly secret: boolean
  /** `directory` is the working directory; `fromFile` tells of a secret in a file. Throws {@link Wrong}. */
  readonly parse: (text: string, directory: string, fromFile: boolean) => Value
}

/** Keeps the type of the parser's result. */
export function variable<Value, const Fallback>(
  facts: Omit<Variable<Value>, 'secret' | 'fallback'> & {
    readonly secret?: boolean
    readonly fallback: Fallback
  },
): Variable<Value | Fallback> {
  return { secret: false, ...facts }
}
