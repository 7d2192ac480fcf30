/**
 * Environment for a worker's process: what glibc's malloc keeps for itself (mallopt(3)). Segments of some megabytes
 * come and go many times a second. As it comes, malloc hands each of them back to the kernel, which then clears their
 * pages again: of 400 MB that were backed up, 430,000 page faults instead of 50,000, and a peak of 300 MB instead of
 * 245. Other C libraries ignore it. The Dockerfile says the same.
 */
export const allocatorSettings = {
  /** Bytes from which on a piece of memory is the kernel's own to give and take: none of ours. */
  MALLOC_MMAP_THRESHOLD_: '33554432',
  /** Bytes that are free at the end of the heap before they are handed back. */
  MALLOC_TRIM_THRESHOLD_: '134217728',
} as const
