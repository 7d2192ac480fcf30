import childProcess from 'node:child_process'
import fs, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { relative } from 'node:path'
import { type Command, Redis } from 'ioredis'
import pg from 'pg'

/** Told of each effect that this process is about to have, and again when it has had it. */
export type EffectListener = (name: string, moment: 'before' | 'after') => void

/** An operation that is told before and after. */
type Operation = (...args: never[]) => Promise<unknown>

/**
 * Tells of everything that this process does to files, to Redis, to PostgreSQL and by starting programs, each
 * under a name that is the same in every run: ids, numbers and random parts of paths and keys are left out.
 * What is no step's effect is left out, too: reading, logs, heartbeats, locks that are renewed, fsync, which a
 * killed process does not need.
 * @param directory paths are named from here, those elsewhere are not told
 */
export function tellEffects(directory: string, listener: EffectListener): void {
  const told = async <T>(name: string | undefined, work: () => Promise<T>): Promise<T> => {
    if (name === undefined) return work()
    listener(name, 'before')
    const result = await work()
    listener(name, 'after')
    return result
  }
  hookFiles((path) => nameOfPath(directory, path), told)
  hookRedis(listener)
  hookDatabase(told)
  hookPrograms(listener)
}

type Told = <T>(name: string | undefined, work: () => Promise<T>) => Promise<T>

function hookFiles(nameOf: (path: string) => string | undefined, told: Told): void {
  const named = (verb: string, path: unknown) => {
    const name = nameOf(String(path))
    return name === undefined ? undefined : `file ${verb} ${name}`
  }
  const functions = fs as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
  // The path that counts is the last of `rename` and `link`, the first of the others.
  const pathAt = { rename: 1, link: 1, unlink: 0, rm: 0, mkdir: 0 }
  for (const [verb, at] of Object.entries(pathAt)) {
    const real = functions[verb]
    if (real === undefined) throw new Error(`no ${verb}`)
    functions[verb] = (...args) => told(named(verb, args[at]), () => real(...args))
  }
  const open = fs.open
  functions['open'] = async (...args) => {
    const [path, flags] = args as Parameters<typeof open>
    const writes = flags !== undefined && flags !== 'r'
    const file = await told(writes ? named('create', path) : undefined, () =>
      open(...(args as Parameters<typeof open>)),
    )
    if (writes) hookHandle(file, (verb) => named(verb, path), told)
    return file
  }
  syncBuiltinESMExports()
}

function hookHandle(file: FileHandle, named: (verb: string) => string | undefined, told: Told): void {
  const methods = file as unknown as Record<string, Operation>
  for (const verb of ['writeFile', 'appendFile', 'writev', 'write']) {
    const real = methods[verb]?.bind(file)
    if (real === undefined) throw new Error(`no ${verb}`)
    methods[verb] = (...args) => told(named('write'), () => real(...args))
  }
}

/** Where in the installation a path lies, without what differs from run to run; undefined for logs and others. */
function nameOfPath(directory: string, path: string): string | undefined {
  const inside = relative(directory, path)
  if (inside.startsWith('..') || inside.includes('logs')) return undefined
  return inside
    .replace(/\.tmp-[0-9a-f]+/, '.tmp')
    .replace(/[\w-]+\.\d{8}T\d{6}Z\.[0-9a-f]{4}/, '<run>')
    .replace(/<run>\/[0-9a-f]{8}(?=\/|$)/, '<run>/<attempt>')
    .replace(/batches\/\d+/, 'batches/<n>')
    .replace(
      /segments\/[0-9a-f]{2}(\/[0-9a-f]{64})?/,
      (_, id?: string) => `segments/<xx>${id ? '/<id>' : ''}`,
    )
    .replace(/keys\/[0-9a-f-]{8,}/, 'keys/<id>')
}

/** Commands that change nothing, and those of connections, locks and looks for work. */
const noEffect =
  /^(get|exists|hget|hgetall|hmget|hlen|hexists|zrange|zrevrange|zscore|zcard|lrange|llen|smembers|scard|ttl|pttl|type|scan|sscan|hscan|keys|ping|info|client|hello|auth|select|script|subscribe|unsubscribe|bzpopmin|brpoplpush|blpop|multi|exec|xread|quit)$/
const noEffectScript =
  /^(get|extendLock|isFinished|isJobInList|isMaxed|moveStalledJobsToWait|paginate|updateProgress|relayGet)/

function hookRedis(listener: EffectListener): void {
  // The command goes on as it is: what is told does not change when it is sent.
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its `this` below
  const send = Redis.prototype.sendCommand
  const seen = new WeakSet<Command>()
  Redis.prototype.sendCommand = function (this: Redis, command, stream) {
    const name = seen.has(command) ? undefined : nameOfCommand(this, command)
    seen.add(command)
    if (name === undefined) return send.call(this, command, stream)
    listener(name, 'before')
    const sent = send.call(this, command, stream)
    // Heard before whoever sent it goes on.
    command.promise.then(
      () => {
        listener(name, 'after')
      },
      () => undefined,
    )
    return sent
  }
}

function nameOfCommand(redis: Redis, command: Command): string | undefined {
  const args = command.args.map(String)
  if (command.name !== 'evalsha' && command.name !== 'eval') {
    if (noEffect.test(command.name)) return undefined
    return `redis ${command.name} ${stem(args[0] ?? '')}`
  }
  const { scriptsSet } = redis as unknown as { scriptsSet: Record<string, { sha: string }> }
  const [script = 'unknown'] = Object.entries(scriptsSet).find(([, { sha }]) => sha === args[0]) ?? []
  const name = script.split(':')[0] ?? script
  if (noEffectScript.test(name)) return undefined
  return `redis ${name} ${stem(args[2] ?? '')}`
}

/** `securyflex:<queue>:<more>` without what belongs to one run. */
function stem(key: string): string {
  return key.split(':')[1] ?? key
}

function hookDatabase(told: Told): void {
  const client = pg.Client.prototype as unknown as Record<string, (...args: unknown[]) => unknown>
  const query = client['query']
  if (query === undefined) throw new Error('no query')
  client['query'] = function (this: pg.Client, ...args: unknown[]) {
    const [what] = args
    const text = typeof what === 'string' ? what : ((what as { text?: string }).text ?? '')
    const effect =
      /^\s*(BEGIN|COMMIT|ROLLBACK)|pg_try_advisory_xact_lock|pg_export_snapshot|pg_terminate_backend/i.exec(
        text,
      )?.[0]
    const work = () => query.apply(this, args) as Promise<unknown>
    return effect === undefined ? work() : told(`postgres ${effect.trim().toUpperCase()}`, work)
  }
}

function hookPrograms(listener: EffectListener): void {
  const spawn = childProcess.spawn as (...args: unknown[]) => unknown
  const hooked = (...args: unknown[]) => {
    const [command, list] = args as [string, string[]]
    const program = [command, ...list].find((word) => /\/pg_\w+$/.test(word)) ?? command
    const name = `start ${program.slice(program.lastIndexOf('/') + 1)}`
    listener(name, 'before')
    const child = spawn(...args)
    listener(name, 'after')
    return child
  }
  Object.assign(childProcess, { spawn: hooked })
  syncBuiltinESMExports()
}
