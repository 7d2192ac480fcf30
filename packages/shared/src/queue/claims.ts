import type { Config } from '@securyflex/shared/config'
import type { Redis } from 'ioredis'
import { prefix, queueName } from './names.ts'
import type { Queues } from './queues.ts'

/** Who holds a place: run → server. */
const heldKey = `${prefix}:claims`
/** Who waits for one, in the order of coming: run, scored by the time in ms. */
const queueKey = `${prefix}:claims:queue`
/** What those that wait wait for: run → server. */
const serversKey = `${prefix}:claims:servers`

/** What a run that has no place waits for. */
export interface Wait {
  /** For people: `server main: 2 of 2 runs`. */
  readonly for: string
}

/** The limits that hold across all workers. */
export type ClaimLimits = Config['limits']

/**
 * Takes a place for a run, or a place in the queue for one. One script, so that no two workers can both take the
 * last place; a claim whose run's job has ended, or is gone, is dropped by it. Taking a place twice is taking it once.
 *
 * Whoever came first goes first, except that a run whose server has room is not held up by one whose server has none.
 * KEYS: held, queue, servers. ARGV: run, server, now, must ('1'), limit of all ('' for none), limits of the servers
 * as JSON, prefix of the run jobs' keys. Gives what is waited for: '' if nothing.
 */
const takePlace = `
local held, queue, servers = KEYS[1], KEYS[2], KEYS[3]
local run, server, now, must = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local most, mostOf, jobs = tonumber(ARGV[5]), cjson.decode(ARGV[6]), ARGV[7]

local function ended(id)
  return redis.call('EXISTS', jobs .. id) == 0 or redis.call('HEXISTS', jobs .. id, 'finishedOn') == 1
end

local function leave()
  redis.call('ZREM', queue, run)
  redis.call('HDEL', servers, run)
end
if must or redis.call('HEXISTS', held, run) == 1 then
  redis.call('HSET', held, run, server)
  leave()
  return ''
end

local all, by = 0, {}
local claims = redis.call('HGETALL', held)
for i = 1, #claims, 2 do
  if ended(claims[i]) then
    redis.call('HDEL', held, claims[i])
  else
    all = all + 1
    by[claims[i + 1]] = (by[claims[i + 1]] or 0) + 1
  end
end

redis.call('ZADD', queue, 'NX', now, run)
redis.call('HSET', servers, run, server)
local function full(count, limit) return limit ~= nil and count >= limit end
local ahead = 0
for _, other in ipairs(redis.call('ZRANGE', queue, 0, -1)) do
  local of = redis.call('HGET', servers, other) or ''
  if other == run then
    if full(by[server] or 0, mostOf[server]) then
      return 'server ' .. server .. ': ' .. (by[server] or 0) .. ' of ' .. mostOf[server] .. ' runs'
    end
    if full(all, most) then return 'all servers: ' .. all .. ' of ' .. most .. ' runs' end
    redis.call('HSET', held, run, server)
    leave()
    return ''
  elseif ended(other) then
    redis.call('ZREM', queue, other)
    redis.call('HDEL', servers, other)
  elseif not full(by[of] or 0, mostOf[of]) and not full(all, most) then
    -- It came before this run, and its place is free: it is kept for it.
    all = all + 1
    by[of] = (by[of] or 0) + 1
  end
end
return ''
`

/**
 * Gives up a run's place, or its place in the queue. Gives those that wait, in their order.
 * KEYS: held, queue, servers. ARGV: run.
 */
const leavePlace = `
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[2]) - 1)
`

/** As many of those that wait look again when a place comes free; the others do so in their own time. */
const mostWoken = 10

/**
 * Takes a place for `run` among the runs that are made at a time, or says what it waits for.
 * @param must takes it whatever the limits say: for a run that has begun, or that only has its end to tell
 */
export async function claimPlace(
  redis: Redis,
  limits: ClaimLimits,
  { run, server, now, must = false }: { run: string; server: string; now: Date; must?: boolean },
): Promise<Wait | undefined> {
  const waits = await redis.eval(
    takePlace,
    3,
    ...[heldKey, queueKey, serversKey],
    ...[run, server, String(now.getTime()), must ? '1' : '0'],
    ...[limits.runs === undefined ? '' : String(limits.runs), JSON.stringify(limits.servers)],
    `${prefix}:${queueName('run')}:`,
  )
  return waits === '' ? undefined : { for: String(waits) }
}

/** Gives up the place of a run that has ended, and has those that wait look again at once. Doing it twice does no harm. */
export async function leaveClaim(queues: Queues, run: string): Promise<void> {
  const waiting = (await queues.redis.eval(
    leavePlace,
    3,
    ...[heldKey, queueKey, serversKey],
    run,
    String(mostWoken),
  )) as string[]
  for (const id of waiting) await wake(queues, id)
}

/** Has a waiting run look again now; one that is looking, or has gone on, is left alone. */
async function wake(queues: Queues, run: string): Promise<void> {
  const job = await queues.get('run').getJob(run)
  if (job === undefined || !(await job.isDelayed())) return
  await job.promote().catch(async (error: unknown) => {
    // Its time had come, or another worker was first.
    if (await job.isDelayed()) throw error
  })
}

/** The runs that hold a place, by run, with their servers; for tests and for looking. */
export async function heldPlaces(redis: Redis): Promise<Readonly<Record<string, string>>> {
  return redis.hgetall(heldKey)
}

/** What a run's job says that it waits for; undefined if it does not wait for others. */
export function waitOf({ progress }: { readonly progress: unknown }): string | undefined {
  if (typeof progress !== 'object' || progress === null || !('waitsFor' in progress)) return undefined
  return typeof progress.waitsFor === 'string' ? progress.waitsFor : undefined
}
