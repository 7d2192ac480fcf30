import { createDecipheriv, createHash, createHmac, hkdfSync, scryptSync } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'

/**
 * A reader of repository format 1, written from docs/format.md alone: it shares no line with the product, so
 * what both read alike is what the document says.
 */
export interface ReadBackup {
  readonly manifest: Manifest
  /** Whether a key vouches for it, or only a checksum. */
  readonly authenticated: boolean
  /** The streams' bytes by kind. */
  readonly streams: ReadonlyMap<string, Buffer>
}

interface Manifest {
  readonly format: number
  readonly kind: string
  readonly run: string
  readonly source: string
  readonly key: KeyRecord | null
  readonly predecessor: { readonly run: string; readonly hash: string } | null
  readonly streams: readonly {
    readonly kind: string
    readonly bytes: number
    readonly digest: string
    readonly segments: number
    readonly list: readonly {
      readonly id: string
      readonly length: number
      readonly sealed: number
      readonly hash: string
    }[]
  }[]
}

interface KeyRecord {
  readonly format: number
  readonly kind: string
  readonly id: string
  readonly kdf: {
    readonly name: string
    readonly salt: string
    readonly N: number
    readonly r: number
    readonly p: number
  }
  readonly check: string
  readonly wrapped: string
}

const sha256 = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest()
const hmac = (key: Uint8Array, ...parts: Uint8Array[]) =>
  createHmac('sha256', key).update(Buffer.concat(parts)).digest()
const hkdf = (ikm: Uint8Array, salt: Uint8Array, info: string, length: number) =>
  Buffer.from(hkdfSync('sha256', ikm, salt, info, length))
const subkey = (dataKey: Buffer, label: string) => hkdf(dataKey, Buffer.alloc(0), `securyflex/1/${label}`, 32)

/** The runs of a source, oldest first: the manifests are the set of backups. */
export function listBackups(directory: string, source: string): string[] {
  const pattern = new RegExp(`^(${source}\\.\\d{8}T\\d{6}Z\\.[0-9a-f]{4})\\.json$`)
  return readdirSync(join(directory, source, 'backups'))
    .flatMap((name) => pattern.exec(name)?.[1] ?? [])
    .sort()
}

/** Reads one backup wholly. `secret` is what the user keeps; undefined without encryption. */
export function readBackup(
  directory: string,
  source: string,
  run: string,
  secret: string | undefined,
): ReadBackup {
  const repository = JSON.parse(readFileSync(join(directory, 'repository.json'), 'utf8')) as {
    format: number
  }
  if (repository.format !== 1) throw new Error('unknown repository format')
  const name = `${source}/backups/${run}.json`
  const { manifest, authenticated, dataKey } = openManifest(name, readFileSync(join(directory, name)), secret)
  if (manifest.run !== run || manifest.source !== source) throw new Error('the manifest of another backup')
  const digest = (bytes: Buffer) =>
    dataKey === undefined ? sha256(bytes) : hmac(subkey(dataKey, 'id'), bytes)
  const segment = (id: Buffer, length: number, sealedLength: number, hash: Buffer): Buffer => {
    const hex = id.toString('hex')
    const sealed = readFileSync(join(directory, source, 'segments', hex.slice(0, 2), hex))
    // An equal segment that was sealed again has another hash, and perhaps another length: it is as good.
    const asListed = sealed.length === sealedLength && sha256(sealed).equals(hash)
    const plain = openSegment(id, sealed, dataKey, manifest.key?.id)
    if (plain.length !== length) throw new Error(`segment ${hex} has another length than listed`)
    if (!digest(plain).equals(id))
      throw new Error(`segment ${hex} is not what its name says (as listed: ${asListed})`)
    return plain
  }
  const streams = new Map<string, Buffer>()
  for (const stream of manifest.streams) {
    if (!['archive', 'globals', 'fingerprint'].includes(stream.kind))
      throw new Error(`unknown stream ${stream.kind}`)
    const list = Buffer.concat(
      stream.list.map(({ id, length, sealed, hash }) =>
        segment(Buffer.from(id, 'hex'), length, sealed, Buffer.from(hash, 'hex')),
      ),
    )
    if (list.length !== stream.segments * 72) throw new Error('the list has another length than it says')
    const parts: Buffer[] = []
    for (let at = 0; at < list.length; at += 72) {
      const [id, hash] = [list.subarray(at, at + 32), list.subarray(at + 40, at + 72)]
      parts.push(segment(id, list.readUInt32BE(at + 32), list.readUInt32BE(at + 36), hash))
    }
    const bytes = Buffer.concat(parts)
    if (bytes.length !== stream.bytes || digest(bytes).toString('hex') !== stream.digest)
      throw new Error('not the stream')
    streams.set(stream.kind, bytes)
  }
  return { manifest, authenticated, streams }
}

function openManifest(name: string, object: Buffer, secret: string | undefined) {
  const [first, mac] = twoLines(object)
  const manifest = JSON.parse(first) as Manifest
  if (manifest.format !== 1 || manifest.kind !== 'manifest') throw new Error('not a manifest of format 1')
  if (manifest.key !== null && secret === undefined) throw new Error('a key is needed')
  const dataKey = manifest.key === null ? undefined : openKey(manifest.key, secret ?? '')
  const authenticated = mac.algorithm === 'hmac-sha256'
  if (authenticated && dataKey === undefined) throw new Error('a MAC without a key')
  if (!authenticated && mac.algorithm !== 'sha256') throw new Error(`unknown algorithm ${mac.algorithm}`)
  if (codeOf(name, first, authenticated ? dataKey : undefined) !== mac.value)
    throw new Error('the manifest was altered')
  return { manifest, authenticated, dataKey }
}

function twoLines(object: Buffer): [string, { algorithm: string; value: string }] {
  const [first, second, end, ...more] = object.toString('utf8').split('\n')
  if (first === undefined || second === undefined || end !== '' || more.length > 0)
    throw new Error('not two lines')
  return [first, (JSON.parse(second) as { mac: { algorithm: string; value: string } }).mac]
}

function codeOf(name: string, line: string, dataKey: Buffer | undefined): string {
  const bytes = Buffer.from(`${name}\0${line}`)
  return (dataKey === undefined ? sha256(bytes) : hmac(subkey(dataKey, 'manifest'), bytes)).toString('hex')
}

/** Whether a backup is kept, and by whom; `?` where that cannot be read. */
export function keptBy(
  directory: string,
  source: string,
  run: string,
  secret: string | undefined,
): string | undefined {
  const place = join(directory, source, 'keeps')
  const pattern = new RegExp(`^${run.replaceAll('.', '\\.')}\\.(\\d+)\\.json$`)
  const times = readdirSync(place).flatMap((name) => pattern.exec(name)?.[1] ?? [])
  const newest = times.sort((a, b) => Number(b) - Number(a))[0]
  if (newest === undefined) return undefined
  const manifest = `${source}/backups/${run}.json`
  const { dataKey } = openManifest(manifest, readFileSync(join(directory, manifest)), secret)
  const name = `${source}/keeps/${run}.${newest}.json`
  const [line, mac] = twoLines(readFileSync(join(directory, name)))
  const word = JSON.parse(line) as Record<'kind' | 'run' | 'action' | 'by', string>
  const isGenuine =
    mac.algorithm === (dataKey === undefined ? 'sha256' : 'hmac-sha256') &&
    codeOf(name, line, dataKey) === mac.value
  if (!isGenuine || word.kind !== 'keep' || word.run !== run) return '?'
  return word.action === 'release' ? undefined : word.by
}

function openKey({ format, kind, id, kdf, check, wrapped }: KeyRecord, secret: string): Buffer {
  if (format !== 1 || kind !== 'wrapped') throw new Error(`unknown key record: ${kind}`)
  const salt = Buffer.from(kdf.salt, 'hex')
  let kek: Buffer
  if (kdf.name === 'raw') {
    const raw = /^[0-9a-f]{64}$/i.test(secret) ? Buffer.from(secret, 'hex') : Buffer.from(secret, 'base64')
    kek = hkdf(raw, salt, 'securyflex/1/kek', 32)
  } else if (kdf.name === 'scrypt') {
    const { N, r, p } = kdf
    if (N > 2 ** 20 || r > 32 || p > 16) throw new Error('too dear')
    kek = scryptSync(secret.normalize('NFC'), salt, 32, { N, r, p, maxmem: 256 * N * r })
  } else throw new Error(`unknown derivation ${kdf.name}`)
  if (hmac(kek, Buffer.from('securyflex/1/check')).subarray(0, 8).toString('hex') !== check)
    throw new Error('wrong key')
  return openGcm(kek, Buffer.from(wrapped, 'hex'), Buffer.from(`securyflex/1/key-record:${id}`))
}

/** nonce (12) ‖ ciphertext ‖ tag (16) */
function openGcm(key: Buffer, bytes: Buffer, aad: Buffer): Buffer {
  const gcm = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12))
    .setAAD(aad)
    .setAuthTag(bytes.subarray(-16))
  return Buffer.concat([gcm.update(bytes.subarray(12, -16)), gcm.final()])
}

function openSegment(
  id: Buffer,
  sealed: Buffer,
  dataKey: Buffer | undefined,
  keyId: string | undefined,
): Buffer {
  const [header, body] = [sealed.subarray(0, 64), sealed.subarray(64)]
  if (sealed.length < 64 || header.subarray(0, 7).toString() !== 'SFLXSEG') throw new Error('no segment')
  if (header[7] !== 1) throw new Error(`unknown version ${String(header[7])}`)
  const [compression, cipher, plainLength] = [header[8], header[9], header.readUInt32BE(12)]
  if (header.readUInt16BE(10) !== 0 || plainLength < 1 || plainLength > 8_388_608)
    throw new Error('invalid header')
  if (header.subarray(16, 32).toString('hex') !== (keyId ?? '0'.repeat(32)))
    throw new Error('under another key')
  const packed = decrypt(cipher, header, body, id, dataKey)
  const limit = { maxOutputLength: plainLength }
  if (compression === 0) return exactly(packed, plainLength)
  if (compression === 1) return exactly(gunzipSync(packed, limit), plainLength)
  if (compression === 2) return exactly(zstdDecompressSync(packed, limit), plainLength)
  throw new Error(`unknown compression ${String(compression)}`)
}

function decrypt(
  cipher: number | undefined,
  header: Buffer,
  body: Buffer,
  id: Buffer,
  dataKey: Buffer | undefined,
): Buffer {
  const a = Buffer.concat([header, id])
  if (cipher === 0) {
    const payload = body.subarray(0, -32)
    if (!sha256(a, payload).equals(body.subarray(-32))) throw new Error('the checksum does not match')
    return payload
  }
  if (dataKey === undefined) throw new Error('a key is needed')
  const k = (length: number) =>
    hkdf(subkey(dataKey, 'segment'), header.subarray(32, 64), 'securyflex/1/segment-key', length)
  if (cipher === 1) return openGcm(k(44).subarray(0, 32), Buffer.concat([k(44).subarray(32, 44), body]), a)
  if (cipher !== 2) throw new Error(`unknown cipher ${String(cipher)}`)
  const ciphertext = body.subarray(0, -32)
  if (!hmac(k(80).subarray(32, 64), a, ciphertext).equals(body.subarray(-32)))
    throw new Error('the MAC does not match')
  const cbc = createDecipheriv('aes-256-cbc', k(80).subarray(0, 32), k(80).subarray(64, 80))
  return Buffer.concat([cbc.update(ciphertext), cbc.final()])
}

function exactly(bytes: Buffer, length: number): Buffer {
  if (bytes.length !== length) throw new Error('not the declared length')
  return bytes
}
