import { saltedMagic } from '../openssl/salted.ts'

/** What bytes are, by their beginning. */
export type Kind = Wrapping | DumpKind
/** What something else is inside of. */
type Wrapping = 'openssl' | 'gzip' | 'zstd'
/** What can be restored. */
type DumpKind = 'custom' | 'tar' | 'sql'

/** How many first bytes tell. */
export const tellingBytes = 64 * 1024

const magics: readonly (readonly [Kind, Buffer])[] = [
  ['openssl', saltedMagic],
  ['gzip', Buffer.from([0x1f, 0x8b, 0x08])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
  ['custom', Buffer.from('PGDMP')],
]

/** What begins with `head`; undefined if that is none of what can be restored. Pure. */
export function recognise(head: Buffer): Kind | undefined {
  const found = magics.find(([, magic]) => beginsWith(head, magic))
  if (found !== undefined) return found[0]
  if (isTar(head)) return nameInTar(head) === 'toc.dat' ? 'tar' : undefined
  return looksLikeSql(head) ? 'sql' : undefined
}

function beginsWith(head: Buffer, magic: Buffer): boolean {
  return magic.equals(head.subarray(0, magic.length))
}

/** POSIX's mark of a tar archive (pax, "ustar Interchange Format"). */
export function isTar(head: Buffer): boolean {
  return head.subarray(257, 262).toString('latin1') === 'ustar'
}

/** The name of the first file in a tar archive; pg_dump's is `toc.dat`. */
export function nameInTar(head: Buffer): string {
  const field = head.subarray(0, 100).toString('latin1')
  return field.slice(0, field.indexOf('\0'))
}

/** A title of pg_dump, or a first statement; other text, and what is no text, is not run as SQL. */
function looksLikeSql(head: Buffer): boolean {
  const text = textOf(head)
  if (text === undefined) return false
  const first = text.replace(/^\ufeff?(?:\s+|--[^\n]*(?:\n|$)|\/\*[^]*?\*\/|\\(?:un)?restrict [^\n]*\n)*/, '')
  return first === '' ? isOfPgDump(text) : statement.test(first)
}

const statement =
  /^(?:\\|;|(?:ALTER|ANALYZE|BEGIN|CALL|COMMENT|COPY|CREATE|DELETE|DO|DROP|GRANT|INSERT|LOCK|MERGE|REINDEX|RESET|REVOKE|SECURITY|SELECT|SET|START|TABLE|TRUNCATE|UPDATE|VACUUM|VALUES|WITH)\b)/i

/** Whether a script says that pg_dump or pg_restore wrote it. */
export function isOfPgDump(text: string): boolean {
  return /^-- PostgreSQL database (?:cluster )?dump\r?$/m.test(text)
}

/** Whether a script creates the databases that it fills: `pg_dump --create`, `pg_dumpall`. */
export function createsDatabases(text: string): boolean {
  return /^(?:-- PostgreSQL database cluster dump|CREATE DATABASE |\\connect )/m.test(text)
}

/** The bytes as text; undefined if they hold control characters that no text has. */
function textOf(head: Buffer): string | undefined {
  return /[\0-\x06\x0e-\x1a\x1c-\x1f]/.test(head.toString('latin1')) ? undefined : head.toString('utf8')
}
