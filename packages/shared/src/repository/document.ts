import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { BackupError } from '@securyflex/shared/errors'
import type { DataKey } from '@securyflex/shared/keys'
import type { Storage } from '@securyflex/shared/storage'
import { z } from 'zod'

const lineFeed = 0x0a
const macLine = z.object({
  mac: z.object({ algorithm: z.enum(['hmac-sha256', 'sha256']), value: z.string().regex(/^[0-9a-f]{64}$/) }),
})

/** The two lines of a document named `name`; docs/format.md, "Documents". */
export function encodeDocument(name: string, content: object, key: DataKey | undefined): Buffer {
  const line = Buffer.from(JSON.stringify(content))
  const algorithm = key === undefined ? 'sha256' : 'hmac-sha256'
  const value = codeOf(name, line, key).toString('hex')
  return Buffer.concat([line, Buffer.from(`\n${JSON.stringify({ mac: { algorithm, value } })}\n`)])
}

/** A document read but not checked: its content says which key it needs. */
export interface ReadDocument {
  /** Parsed from the first line; believe nothing of it before {@link check} passed. */
  readonly content: unknown
  /** Whether a key vouches for it, or only a checksum. */
  readonly authenticated: boolean
  /** @throws MANIFEST_DAMAGED if the content is not what was written under this name */
  check(key: DataKey | undefined): void
}

/** @throws MANIFEST_DAMAGED if these are not the two lines of a document */
export function decodeDocument(name: string, bytes: Buffer): ReadDocument {
  const end = bytes.indexOf(lineFeed)
  if (end < 0) throw damaged(name, bytes.length === 0 ? 'it is empty' : 'it is cut off')
  const line = bytes.subarray(0, end)
  if (bytes.at(-1) !== lineFeed) throw damaged(name, 'it is cut off')
  const { mac } = parseMac(name, bytes.subarray(end + 1, -1))
  const authenticated = mac.algorithm === 'hmac-sha256'
  return {
    content: parseJson(name, line),
    authenticated,
    check(key) {
      if (authenticated && key === undefined) throw damaged(name, 'it names no key but was written with one')
      const expected = codeOf(name, line, authenticated ? key : undefined)
      if (timingSafeEqual(expected, Buffer.from(mac.value, 'hex'))) return
      throw damaged(
        name,
        authenticated ? 'its authentication code does not match' : 'its checksum does not match',
      )
    },
  }
}

function parseMac(name: string, line: Buffer): z.infer<typeof macLine> {
  const parsed = macLine.safeParse(parseJson(name, line))
  if (!parsed.success) throw damaged(name, 'its authentication code is missing')
  return parsed.data
}

function parseJson(name: string, line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'))
  } catch (cause) {
    throw damaged(name, 'it is cut off or not JSON', cause)
  }
}

function codeOf(name: string, line: Buffer, key: DataKey | undefined): Buffer {
  const code = key === undefined ? createHash('sha256') : createHmac('sha256', key.subkey('manifest'))
  return code.update(name).update('\0').update(line).digest()
}

export function damaged(name: string, why: string, cause?: unknown): BackupError {
  return new BackupError('MANIFEST_DAMAGED', `${name} is damaged: ${why}.`, {
    hint: 'Use another backup of this source: npx --no securyflex-backup list',
    cause,
  })
}

/** A document of a whole repository, not of one backup, whose loss the others there survive. @param hint how to mend it */
export function damagedThere(
  { name, shown }: Storage,
  document: string,
  why: string,
  { hint, cause }: { hint: string; cause: unknown },
): BackupError {
  return new BackupError('MANIFEST_DAMAGED', `${document} at ${name} (${shown}) is damaged: ${why}.`, {
    hint,
    cause,
  })
}
