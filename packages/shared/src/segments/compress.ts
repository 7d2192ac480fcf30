import { promisify } from 'node:util'
import {
  constants,
  createGzip,
  createZstdCompress,
  gunzip,
  type Gzip,
  type ZstdCompress,
  zstdDecompress,
} from 'node:zlib'
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

// One call a segment: streams of this zlib that are written to in pieces append an empty frame.
const fromGzip = promisify(gunzip)
const fromZstd = promisify(zstdDecompress)

/** `plain` compressed on a thread of its own, or as it is if that is no longer. */
export async function compress(plain: Buffer, { algorithm, level }: Compression): Promise<Payload> {
  const asItIs: Payload = { compression: compressionCodes.none, bytes: plain }
  if (algorithm === 'none') return asItIs
  // Room for the worst case, as zstd bounds it: the default, 16 KiB, would wake this thread a hundred times a
  // segment. Memory that is not written to is not taken.
  const chunkSize = plain.length + (plain.length >> 8) + 64 * 1024
  const bytes = await passThrough(
    algorithm === 'gzip'
      ? createGzip({ level, chunkSize })
      : createZstdCompress({
          chunkSize,
          // Small segments then take small tables, instead of some megabytes each.
          pledgedSrcSize: plain.length,
          params: zstdParameters(level),
        }),
    plain,
  )
  if (bytes.length < plain.length) return { compression: compressionCodes[algorithm], bytes }
  discard(bytes)
  return asItIs
}

/** log2 of the places in which level 2 remembers what it has seen: twice as many as by itself; docs/benchmarks.md. */
const hashLog = 17

function zstdParameters(level: number): Record<number, number> {
  const byLevel = { [constants.ZSTD_c_compressionLevel]: level }
  return level === 2 ? { ...byLevel, [constants.ZSTD_c_hashLog]: hashLog } : byLevel
}

/**
 * What `zstdCompress` and `gzip` of node:zlib do, which lay their output into one buffer, in two parts, and join
 * those in another one that is as long.
 */
function passThrough(engine: Gzip | ZstdCompress, plain: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    engine.on('data', (part: Buffer) => parts.push(part))
    engine.once('error', reject)
    engine.once('end', () => resolve(joined(parts)))
    engine.end(plain)
  })
}

/** Without a copy where the parts lie behind each other in one buffer. */
function joined(parts: readonly Buffer[]): Buffer {
  const [first] = parts
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  if (first === undefined || !follow(parts)) return Buffer.concat(parts, length)
  return Buffer.from(first.buffer, first.byteOffset, length)
}

function follow(parts: readonly Buffer[]): boolean {
  return parts.every((part, index) => {
    const before = parts[index - 1]
    return (
      before === undefined ||
      (part.buffer === before.buffer && part.byteOffset === before.byteOffset + before.length)
    )
  })
}

/** The plain bytes again; stops beyond `plainLength`, so a small object cannot fill the memory. */
export async function decompress({ compression, bytes }: Payload, plainLength: number): Promise<Buffer> {
  // Room for all of it at once, and a little more, or the end would be looked for in another piece of that size.
  const limits = { maxOutputLength: plainLength, chunkSize: plainLength + 64 }
  if (compression === compressionCodes.none) return bytes
  return compression === compressionCodes.gzip ? fromGzip(bytes, limits) : fromZstd(bytes, limits)
}
