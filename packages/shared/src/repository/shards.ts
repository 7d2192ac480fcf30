/** A source's segments at one place are so many shards, by the first byte of their ids; docs/format.md, "Scrubs". */
export const shardCount = 256

/** The shard of a segment: 0 to 255. */
export function shardOf(id: Buffer): number {
  return id.readUInt8(0)
}

/** The two digits of a shard, as in the names of its segments. */
export function shardName(shard: number): string {
  return shard.toString(16).padStart(2, '0')
}

/** How many shards a share of all is, rounded up: 1/30 is 9. @param share more than 0, at most 1 */
function shardsIn(share: number): number {
  // 0.1 × 256 and its like are a little more or less than they say.
  return Math.min(shardCount, Math.max(1, Math.ceil(share * shardCount - 1e-6)))
}

/**
 * The shards to read back next: those that were not for the longest time, never ones first.
 * @param checked when each of the 256 was last read back
 */
export function longestUnchecked(checked: readonly (string | null)[], share: number): number[] {
  const age = (shard: number) => Date.parse(checked[shard] ?? '1970-01-01T00:00:00.000Z')
  const oldestFirst = Array.from({ length: shardCount }, (_, shard) => shard).sort((a, b) => age(a) - age(b))
  return oldestFirst.slice(0, shardsIn(share))
}
