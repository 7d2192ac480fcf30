/** The parts of a key. @throws TypeError for what cannot be one */
export function partsOf(key: string): string[] {
  const parts = key.split('/')
  if (key.includes('\0') || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new TypeError(`not a key: ${key}`)
  }
  return parts
}

/** The directory that all keys with `prefix` lie in: empty, or ends with `/`. @throws TypeError as {@link partsOf} */
export function directoryOf(prefix: string): string {
  const directory = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  if (directory !== '') partsOf(directory.slice(0, -1))
  return directory
}
