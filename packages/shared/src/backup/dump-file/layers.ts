import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { asBackupError, BackupError, systemCode } from '@securyflex/shared/errors'
import type { OpensslKey } from '../openssl/derivation.ts'
import { decryptSalted } from '../openssl/salted.ts'

/** One thing that a dump is inside of, with what opens it. */
export type Layer =
  { readonly kind: 'gzip' | 'zstd' } | { readonly kind: 'openssl'; readonly key: OpensslKey }

/**
 * What is inside of the file at `path` when `layers`, outermost first, are taken off. May be read again and again.
 * @throws STREAM_DAMAGED that names the layer that is cut off or damaged
 */
export async function* readThrough(path: string, layers: readonly Layer[]): AsyncGenerator<Buffer> {
  let bytes: AsyncIterable<Buffer> = createReadStream(path)
  for (const layer of layers) bytes = openLayer(bytes, layer, path)
  yield* bytes
}

/** The first `length` bytes, or all that there are. */
export async function firstBytes(
  source: AsyncIterable<Buffer>,
  length: number,
): Promise<{ head: Buffer; whole: boolean }> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of source) {
    parts.push(part)
    bytes += part.length
    if (bytes > length) return { head: Buffer.concat(parts).subarray(0, length), whole: false }
  }
  return { head: Buffer.concat(parts), whole: true }
}

function openLayer(source: AsyncIterable<Buffer>, layer: Layer, path: string): AsyncIterable<Buffer> {
  return layer.kind === 'openssl' ? decryptSalted(source, layer.key) : decompress(source, layer.kind, path)
}

async function* decompress(
  source: AsyncIterable<Buffer>,
  kind: 'gzip' | 'zstd',
  path: string,
): AsyncGenerator<Buffer> {
  const input = Readable.from(source, { objectMode: false })
  const output = kind === 'gzip' ? createGunzip() : createZstdDecompress()
  // The decompressor is what is read from: an error of its input has to come out of it.
  input.on('error', (error) => output.destroy(error))
  try {
    for await (const part of input.pipe(output)) yield part as Buffer
  } catch (error) {
    throw explain(error, kind, path)
  } finally {
    input.destroy()
    output.destroy()
  }
}

function explain(error: unknown, kind: string, path: string): BackupError {
  const code = systemCode(error) ?? ''
  if (!/^(?:Z_|ZSTD_)/.test(code)) return asBackupError(error)
  const cut = code === 'Z_BUF_ERROR'
  return new BackupError(
    'STREAM_DAMAGED',
    `${path} is ${cut ? 'cut off' : 'damaged'}: its ${kind} ${cut ? 'ends in the middle' : 'data does not add up'}.`,
    {
      hint: 'Compare its size with the original and fetch it again, or use another dump.',
      cause: error,
    },
  )
}
