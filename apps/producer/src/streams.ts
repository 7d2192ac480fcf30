import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { Queues } from '@securyflex/shared/queue'

type Redis = Queues['redis']

/** Producers of one installation share the entries of a stream: each is handled by one of them. */
export const group = 'producers'

/** An entry of a stream. */
export interface Entry {
  readonly stream: string
  readonly id: string
  /** Name and value in turn. */
  readonly fields: readonly string[]
}

/** Who reads streams, and what it does with them. */
export interface Reading {
  /** Used for nothing else: it blocks. */
  readonly redis: Redis
  readonly streams: readonly string[]
  /** Does what an entry asks for and takes it off the list of those to be done. Whatever it throws is said. */
  readonly handle: (entry: Entry) => Promise<void>
  readonly say: (error: unknown) => void
  /** After so many ms an entry that another reader took and did not finish is taken over. */
  readonly takeOverAfter: number
}

/** How long a read waits for something new, in ms. */
const blockFor = 2000
/** Entries that are read at a time. */
const batch = 20
/** Before the next try when a look failed, in ms. */
const pauseAfterError = 500
/** A reader that was not seen for so long, in ms, and has nothing left to do, is forgotten. */
const forgetAfter = 24 * 60 * 60 * 1000

/**
 * Reads streams as one of their group until it is stopped, which lets the entry under way end. Nothing that an
 * entry says or does ends the reading.
 */
export function readStreams(reading: Reading): { stop(): Promise<void> } {
  const name = `${hostname()}.${String(process.pid)}.${randomBytes(3).toString('hex')}`
  const stopping = new AbortController()
  const isStopped = () => stopping.signal.aborted
  const done = (async () => {
    let takenOver = -Infinity
    while (!isStopped()) {
      try {
        if (performance.now() - takenOver >= reading.takeOverAfter) {
          await makeGroups(reading)
          for (const entry of await abandoned(reading, name)) await handleOne(reading, entry, isStopped)
          takenOver = performance.now()
        }
        for (const entry of await next(reading, name)) await handleOne(reading, entry, isStopped)
      } catch (error) {
        if (isStopped()) return
        // A Redis that lost its data knows no group: it is made again with the next look.
        if (/NOGROUP/.test(String(error))) takenOver = -Infinity
        else reading.say(error)
        await delay(pauseAfterError)
      }
    }
  })()
  return {
    async stop() {
      stopping.abort()
      await done
    },
  }
}

async function handleOne({ handle, say }: Reading, entry: Entry, isStopped: () => boolean): Promise<void> {
  // What is left now is taken over by another reader.
  if (isStopped()) return
  try {
    await handle(entry)
  } catch (error) {
    say(error)
  }
}

/** From the beginning: what came before the first producer is done, too. */
async function makeGroups({ redis, streams }: Reading): Promise<void> {
  for (const stream of streams) {
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM').catch((error: unknown) => {
      if (!/BUSYGROUP/.test(String(error))) throw error
    })
  }
}

async function next({ redis, streams }: Reading, name: string): Promise<Entry[]> {
  const answer = await redis.xreadgroup(
    ...(['GROUP', group, name, 'COUNT', batch, 'BLOCK', blockFor] as const),
    ...(['STREAMS', ...streams, ...streams.map(() => '>')] as const),
  )
  return (answer ?? []).flatMap(([stream, entries]) => entries.map((entry) => read(stream, entry)))
}

/** Entries that a reader took and did not finish, because it died or Redis went away. */
async function abandoned({ redis, streams, takeOverAfter }: Reading, name: string): Promise<Entry[]> {
  const found: Entry[] = []
  for (const stream of streams) {
    const [, entries] = (await redis.xautoclaim(stream, group, name, takeOverAfter, '0', 'COUNT', batch)) as [
      string,
      [string, string[] | null][],
    ]
    found.push(...entries.map((entry) => read(stream, entry)))
    await forgetReaders(redis, stream)
  }
  return found
}

function read(stream: string, [id, fields]: [string, string[] | null]): Entry {
  return { stream, id, fields: fields ?? [] }
}

async function forgetReaders(redis: Redis, stream: string): Promise<void> {
  const readers = (await redis.xinfo('CONSUMERS', stream, group)) as (string | number)[][]
  for (const reader of readers) {
    const facts = Object.fromEntries(
      reader.flatMap((fact, index) => (index % 2 === 0 ? [[String(fact), reader[index + 1]]] : [])),
    )
    if (Number(facts['pending']) === 0 && Number(facts['idle']) > forgetAfter) {
      await redis.xgroup('DELCONSUMER', stream, group, String(facts['name']))
    }
  }
}
