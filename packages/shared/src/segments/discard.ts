import { isMarkedAsUntransferable } from 'node:worker_threads'

/** Bytes below which it is not worth it; pieces that a pipe delivers are longer. */
const worthwhile = 32 * 1024

/**
 * Frees the memory of `bytes`, and of all that shares it, at once: they are empty then. Segments pass through many
 * buffers, and each few megabytes of them that are left to the garbage collector cost a full collection. Only for
 * who made the buffer, or was handed it for good, once nobody reads it any more. The memory that Node itself shares
 * among small buffers is left alone.
 */
export function discard(bytes: Uint8Array): void {
  const { buffer } = bytes
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < worthwhile) return
  if (!isMarkedAsUntransferable(buffer)) buffer.transfer(0)
}
