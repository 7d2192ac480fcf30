import { createHash } from 'node:crypto'
import { BackupError } from '@securyflex/shared/errors'
import type { DataKey, KeyRing } from '@securyflex/shared/keys'
import { keyRecordSchema } from '@securyflex/shared/keys'
import { z } from 'zod'
import { damaged, decodeDocument } from './document.ts'
import { layout } from './layout.ts'
import { type Manifest, manifestSchema, streamKinds } from './manifest.ts'

/** A manifest whose every check passed, and what comes with it. */
export interface OpenManifest {
  readonly manifest: Manifest
  /** Opens the backup's segments; undefined without encryption. */
  readonly key: DataKey | undefined
  /** False if only a checksum vouches for it: whoever can write to the store could have written it. */
  readonly authenticated: boolean
  /** SHA-256 of the stored object. */
  readonly hash: string
}

const envelope = z.object({ format: z.number(), kind: z.string(), key: z.unknown() })

/**
 * Reads the manifest stored as `name`.
 * @throws MANIFEST_DAMAGED, FORMAT_UNKNOWN for what a newer version wrote, KEY_MISSING, KEY_WRONG
 */
export async function openManifest(name: string, bytes: Buffer, keys: KeyRing): Promise<OpenManifest> {
  const document = decodeDocument(name, bytes)
  const head = envelope.safeParse(document.content)
  if (!head.success) throw damaged(name, 'it is not a manifest')
  if (head.data.format > 1) {
    throw newer(name, `format ${String(head.data.format)}`)
  }
  const key = await openKey(name, head.data.key, keys)
  document.check(key)
  const parsed = manifestSchema.safeParse(document.content)
  if (!parsed.success) throw damaged(name, z.prettifyError(parsed.error).replaceAll(/\s+/g, ' '))
  const unknown = parsed.data.streams.find(({ kind }) => !(streamKinds as readonly string[]).includes(kind))
  if (unknown !== undefined) throw newer(name, `a stream of kind "${unknown.kind}"`)
  if (name !== layout.manifest(parsed.data.source, parsed.data.run)) {
    throw damaged(name, `it is the manifest of ${parsed.data.run}`)
  }
  return {
    manifest: parsed.data,
    key,
    authenticated: document.authenticated,
    hash: createHash('sha256').update(bytes).digest('hex'),
  }
}

async function openKey(name: string, record: unknown, keys: KeyRing): Promise<DataKey | undefined> {
  if (record === null) return undefined
  const parsed = keyRecordSchema.safeParse(record)
  if (!parsed.success) throw damaged(name, 'its key record cannot be read')
  return keys.open(parsed.data)
}

function newer(name: string, what: string): BackupError {
  return new BackupError('FORMAT_UNKNOWN', `${name} has ${what}, which this version does not read.`, {
    hint: 'Read it with a newer version of SecuryFlex Backup.',
  })
}
