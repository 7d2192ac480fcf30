import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Config, RedisAddress } from '@securyflex/shared/config'
import { BackupError, Secret, systemCode } from '@securyflex/shared/errors'
import {
  createFileDurably,
  ensureDirectory,
  exists,
  temporaryName,
  writeFileDurably,
} from '@securyflex/shared/files'
import { connectOrFail } from '@securyflex/shared/queue'
import { embeddedAddress } from './redis/redis.ts'

/** What a running service left word of, in `<BACKUP_DIR>/service.json`. */
export interface ServiceWord {
  /** `service` of `npm start`; `backup` is the one run of `npm run backup`. */
  readonly kind: 'service' | 'backup'
  readonly pid: number
  /** UTC. */
  readonly started: string
  readonly redis: RedisAddress
  /** What its workers can back up. */
  readonly sources: readonly { readonly name: string; readonly shown: string }[]
}

/** How long one whose process lives may take until its Redis answers, in ms. */
const startPatience = 5_000
/** How often it is asked meanwhile, in ms. */
const askInterval = 100

/**
 * The service that runs on this BACKUP_DIR, which its Redis proves by answering. Word that a killed one left
 * behind counts for nothing. Changes nothing.
 */
export async function findService(config: Pick<Config, 'directory'>): Promise<ServiceWord | undefined> {
  const word = await readWord(config)
  return word !== undefined && (await isAlive(word)) ? word : undefined
}

/**
 * Where Redis is: `REDIS_URL`, else that of the running service.
 * @throws REDIS_UNREACHABLE if there is neither, saying what to type
 */
export async function resolveRedis(config: Pick<Config, 'directory' | 'redis'>): Promise<RedisAddress> {
  const address = config.redis ?? (await findService(config))?.redis
  if (address !== undefined) return address
  throw new BackupError(
    'REDIS_UNREACHABLE',
    `No service runs on ${config.directory}, and REDIS_URL is not set.`,
    {
      hint: 'Start it in another terminal with: npm start',
    },
  )
}

/** The right to run Redis on a BACKUP_DIR; word of it stands there until it is released. */
export interface Claim {
  readonly word: ServiceWord
  /** Leaves word of a changed configuration. */
  renew(config: Pick<Config, 'sources' | 'groups'>): Promise<void>
  release(): Promise<void>
}

/**
 * Leaves word of this process, before it starts Redis. One process at a time: two on the same append-only file
 * would destroy it.
 * @returns the word of the other one, if one is there
 */
export async function claimService(
  config: Pick<Config, 'directory' | 'sources' | 'groups'>,
  kind: ServiceWord['kind'],
  now: Date,
): Promise<Claim | { readonly holder: ServiceWord }> {
  await ensureDirectory(config.directory).catch((error: unknown) => {
    throw cannotWrite(config.directory, error)
  })
  const redis = await embeddedAddress(config)
  const word: ServiceWord = {
    kind,
    pid: process.pid,
    started: now.toISOString(),
    redis,
    sources: sourcesOf(config),
  }
  const path = pathOf(config)
  const content = textOf(word)
  const create = () =>
    createFileDurably(path, content).catch((error: unknown) => {
      throw cannotWrite(config.directory, error)
    })
  while (!(await create())) {
    const holder = await readWord(config)
    if (holder !== undefined && (await isAlive(holder))) return { holder }
    await removeStale(path, holder)
  }
  const renew = (changed: Pick<Config, 'sources' | 'groups'>) =>
    writeFileDurably(path, textOf({ ...word, sources: sourcesOf(changed) }))
  return { word, renew, release: () => rm(path, { force: true }) }
}

function textOf(word: ServiceWord): string {
  return JSON.stringify({ ...word, redis: word.redis.url.reveal() })
}

function sourcesOf({ sources, groups }: Pick<Config, 'sources' | 'groups'>): ServiceWord['sources'] {
  return [...sources, ...groups].map(({ name, connection }) => ({ name, shown: connection.shown }))
}

function cannotWrite(directory: string, cause: unknown): BackupError {
  const full = systemCode(cause) === 'ENOSPC' || systemCode(cause) === 'EDQUOT'
  const why = cause instanceof Error ? (systemCode(cause) ?? cause.message) : String(cause)
  return new BackupError(
    full ? 'STORAGE_FULL' : 'STORAGE_REFUSED',
    `${directory} cannot be written (${why}).`,
    {
      hint: full ? 'Make room there.' : 'Set BACKUP_DIR to a directory that this user may write to.',
      cause,
    },
  )
}

function pathOf({ directory }: Pick<Config, 'directory'>): string {
  return join(directory, 'service.json')
}

/** Undefined if there is none, and for what is no word: nothing of ours writes half a file. */
async function readWord(config: Pick<Config, 'directory'>): Promise<ServiceWord | undefined> {
  try {
    return parseWord(await readFile(pathOf(config), 'utf8'))
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw error
  }
}

function parseWord(text: string): ServiceWord | undefined {
  try {
    const value = JSON.parse(text) as Partial<Omit<ServiceWord, 'redis'> & { redis: string }>
    const { kind, pid, started, redis, sources } = value
    if (kind !== 'service' && kind !== 'backup') return undefined
    if (typeof pid !== 'number' || typeof started !== 'string' || typeof redis !== 'string') return undefined
    if (!redis.startsWith('unix:///') || !Array.isArray(sources)) return undefined
    return { kind, pid, started, redis: { url: new Secret(redis), shown: redis }, sources }
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Its Redis answers, or will in a moment: it may be starting, or starting it again. */
async function isAlive(word: ServiceWord): Promise<boolean> {
  const deadline = performance.now() + startPatience
  for (;;) {
    if (await answers(word.redis)) return true
    if (!isOtherProcess(word.pid) || performance.now() > deadline) return false
    await wait(askInterval)
  }
}

async function answers(address: RedisAddress): Promise<boolean> {
  try {
    const redis = await connectOrFail(address)
    redis.disconnect()
    return true
  } catch (error) {
    if (error instanceof BackupError && error.code === 'REDIS_UNREACHABLE') return false
    throw error
  }
}

/** Whether a process of that number lives and is not this one, whose number it may have had in another container. */
function isOtherProcess(pid: number): boolean {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCode(error) === 'EPERM'
  }
}

/** Takes stale word away, and puts it back if somebody replaced it meanwhile. */
async function removeStale(path: string, stale: ServiceWord | undefined): Promise<void> {
  const aside = temporaryName(path)
  try {
    await rename(path, aside)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw error
  }
  const text = await readFile(aside, 'utf8')
  const taken = parseWord(text)
  const same = taken?.pid === stale?.pid && taken?.started === stale?.started
  if (!same && !(await exists(path))) await createFileDurably(path, text)
  await rm(aside, { force: true })
}
