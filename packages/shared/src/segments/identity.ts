import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto'
import { type DataKey, openGearTable } from '@securyflex/shared/keys'

/** How plain bytes are named and cut: keyed with encryption on. docs/format.md, "Keys" and "Cutting". */
export interface Identity {
  /** A new digest to feed: HMAC under the `id` key, or SHA-256 without encryption. */
  createDigest(): Hash | Hmac
  /** The id of a segment: the digest of its plain bytes, 32 bytes. */
  readonly identify: (plain: Uint8Array) => Buffer
  /** 256 integers that decide where streams are cut. */
  readonly gearTable: Uint32Array
}

const known = new WeakMap<DataKey, Identity>()
let open: Identity | undefined

/** The identity under `key`, or without encryption; made once for each key. */
export function identityOf(key: DataKey | undefined): Identity {
  if (key === undefined) return (open ??= makeIdentity(undefined))
  const identity = known.get(key) ?? makeIdentity(key)
  known.set(key, identity)
  return identity
}

function makeIdentity(key: DataKey | undefined): Identity {
  const idKey = key?.subkey('id')
  const createDigest = () => (idKey === undefined ? createHash('sha256') : createHmac('sha256', idKey))
  return {
    createDigest,
    identify: (plain) => createDigest().update(plain).digest(),
    gearTable: readGearTable(key?.subkey('cut') ?? openGearTable()),
  }
}

function readGearTable(bytes: Buffer): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, index) => bytes.readUInt32BE(index * 4))
}
