/** Archive versions, as major * 100 + minor, and the first major whose pg_restore reads them (pg_backup_archiver.h). */
const changes: readonly (readonly [version: number, major: number])[] = [
  [115, 16],
  [116, 17],
]
/** What comes after the newest version that is known here needs tools that are newer still. */
const newest = { version: 116, nextMajor: 19 }

/**
 * The oldest major whose pg_restore reads an archive that begins with `head`: the first bytes of a custom archive, or
 * those of `toc.dat` in the other forms. Undefined where any in use does, or for what is no archive. Pure.
 */
export function readableSince(head: Buffer): number | undefined {
  if (head.length < 7 || head.subarray(0, 5).toString('latin1') !== 'PGDMP') return undefined
  const version = head.readUInt8(5) * 100 + head.readUInt8(6)
  if (version > newest.version) return newest.nextMajor
  return changes.findLast(([since]) => version >= since)?.[1]
}
