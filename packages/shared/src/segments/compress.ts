import { promisify } from 'node:util'
import { constants, gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib'
import type { Compression } from '@securyflex/shared/config'

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
  const bytes =
    algorithm === 'gzip'
      ? await withGzip(plain, { level })
      : await withZstd(plain, { params: { [constants.ZSTD_c_compressionLevel]: level } })
  return bytes.length < plain.length ? { compression: compressionCodes[algorithm], bytes } : asItIs
}

/** The plain bytes again; stops beyond `plainLength`, so a small object cannot fill the memory. */
export async function decompress({ compression, bytes }: Payload, plainLength: number): Promise<Buffer> {
  const limits = { maxOutputLength: plainLength }
  if (compression === compressionCodes.none) return bytes
  return compression === compressionCodes.gzip ? fromGzip(bytes, limits) : fromZstd(bytes, limits)
}
