import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { prefix } from './names.ts'

/** What a line that was idle may catch up with, in ms of its rate: the first object of a run need not wait. */
const burst = 1000

/**
 * Takes a line for as long as so many bytes need, behind those who came before. One script and Redis' own clock, so that
 * all workers share one line, whatever theirs say. Whoever dies while waiting has used what it took: that is not
 * given back, and passes.
 * KEYS: when the line is free, in ms. ARGV: bytes, bytes a second, burst. Gives the ms to wait.
 */
const takeLine = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now - tonumber(ARGV[3]))
local after = free + tonumber(ARGV[1]) * 1000 / tonumber(ARGV[2])
redis.call('SET', KEYS[1], string.format('%.3f', after), 'PX', math.max(1, math.ceil(after - now)) + 60000)
return math.max(0, math.ceil(free - now))
`

/** The bytes that may pass to and from one destination, counted for all workers together. */
export interface SharedLine {
  /** Resolves when so many bytes may pass. @throws AbortError once `signal` aborts */
  take(bytes: number, signal?: AbortSignal): Promise<void>
}

/** @param rate bytes a second */
export function sharedLine(redis: Redis, destination: string, rate: number): SharedLine {
  const key = `${prefix}:bandwidth:${destination}`
  return {
    async take(bytes, signal) {
      const wait = await redis.eval(takeLine, 1, key, String(bytes), String(rate), String(burst))
      if (Number(wait) > 0) await delay(Number(wait), undefined, signal === undefined ? {} : { signal })
    },
  }
}
