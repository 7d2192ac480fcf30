import { createHash } from 'node:crypto'

/** Numbers from 0 to 1 that follow from a seed. */
export function chances(seed: string): () => number {
  let state = seed
  return () => {
    state = createHash('sha256').update(state).digest('hex')
    return Number.parseInt(state.slice(0, 8), 16) / 2 ** 32
  }
}
