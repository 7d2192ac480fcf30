import { setFlagsFromString } from 'node:v8'

/**
 * Environment for a worker's process. What is set already goes first; other C libraries than glibc ignore the first
 * three (mallopt(3)). Segments of some megabytes come and go many times a second: as it comes, malloc hands each of
 * them back to the kernel, which then clears their pages again. Of 400 MB that were backed up this made 430,000 page
 * faults instead of 50,000; all of it takes the peak of 700 MB from 300 to 210 MB, at the same speed.
 */
export const memorySettings = {
  /** One pool for all threads, not one each. */
  MALLOC_ARENA_MAX: '1',
  /** Bytes from which on a piece of memory is the kernel's own to give and take: none of ours. */
  MALLOC_MMAP_THRESHOLD_: '33554432',
  /** Bytes that are free at the end of the heap before they are handed back. */
  MALLOC_TRIM_THRESHOLD_: '134217728',
  /** In MB, each half of the place for young objects, where no segment lies. As it comes it is several times that. */
  NODE_OPTIONS: '--max-semi-space-size=8',
} as const

/** A flag of V8, which NODE_OPTIONS does not take. */
export const countedTogether = '--external-memory-accounted-in-global-limit'

/**
 * Has V8 count memory outside its heap with the heap, which may grow in proportion, for the rest of this process.
 * As it comes, V8 collects everything whenever 64 MB more than at the least are outside, which some segments at a time
 * always are: 47 full collections for 700 MB that were backed up instead of two, 3 of 20 s of CPU time.
 */
export function countSegmentsWithHeap(): void {
  setFlagsFromString(countedTogether)
}
