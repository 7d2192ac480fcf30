import type { Compression } from './config.ts'

/** Levels of each algorithm: the one where none is given, and the highest. The lowest is 1, but for `none`. */
export const compressionLevels = {
  none: { usual: 0, highest: 0 },
  gzip: { usual: 6, highest: 9 },
  zstd: { usual: 2, highest: 19 },
} as const satisfies Readonly<Record<Compression['algorithm'], { usual: number; highest: number }>>

/** In the words of the documentation. */
export const usualLevels = `${compressionLevels.zstd.usual} for zstd, ${compressionLevels.gzip.usual} for gzip`
