import { promisify } from 'node:util'
import { constants, gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib'
import type { Compression } from '@securyflex/shared/config'
import { discard } from './discard.ts'

/** The header's codes; docs/format.md, "Segments". */
export const compressionCodes = { none: 0, gzip: 1, zstd: 2 } as const
export type CompressionCode = (typeof compressionCodes)[keyof typeof compressionCodes]

/** Bytes of a segment after compression, and how they came to be. */
export interface Payload {
  readonly compression: CompressionCode
  readonly bytes: Buffer
}

// One call a segment: streams of this zlib append an empty frame and their worker threads fail (docs/design.md).
const withGzip = promisify(gzip)
const withZstd = promisify(zstdCompress)
const fromGzip = promisify(gunzip)
const fromZstd = promisify(zstdDecompress)

/** `plain` compressed on a thread of its own, or as it is if that is no longer. */
export async function compress(plain: Buffer, { algorithm, level }: Compression): Promise<Payload> {
  const asItIs: Payload = { compression: compressionCodes.none, bytes: plain }
  if (algorithm === 'none') return asItIs
  // Room for the worst case: zstd then writes there directly, and the default, 16 KiB, would wake this thread a
  // hundred times a segment. Memory that is not written to is not taken.
  const chunkSize = plain.length + (plain.length >> 8) + 64 * 1024
  const bytes =
    algorithm === 'gzip'
      ? await withGzip(plain, { level, chunkSize })
      : await withZstd(plain, { chunkSize, params: { [constants.ZSTD_c_compressionLevel]: level } })
  if (bytes.length < plain.length) return { compression: compressionCodes[algorithm], bytes }
  discard(bytes)
  return asItIs
}

/** The plain bytes again; stops beyond `plainLength`, so a small object cannot fill the memory. */
export async function decompress({ compression, bytes }: Payload, plainLength: number): Promise<Buffer> {
  // Room for all of it at once, and a little more, or the end would be looked for in another piece of that size.
  const limits = { maxOutputLength: plainLength, chunkSize: plainLength + 64 }
  if (compression === compressionCodes.none) return bytes
  return compression === compressionCodes.gzip ? fromGzip(bytes, limits) : fromZstd(bytes, limits)
}
