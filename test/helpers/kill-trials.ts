import { once } from 'node:events'
import { cp, readdir, rm, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { KeyRing } from '@securyflex/shared/keys'
import { BackupReader, checkBackup, listRuns, readBackup } from '@securyflex/shared/repository'
import type { Order, Moment } from './doomed-process.ts'
import { type Installation, startInstallation, type WorkerProcess } from './installation.ts'
import { until } from './command.ts'
import { sessionsOf, toolsOf } from './leftovers.ts'

/** What a run begins upon: nothing at all, or a repository with an old backup that is pruned. */
export type Ground = 'a first run' | 'a later run'

/** A moment in a run at which its worker is killed. */
export interface KillPoint extends Moment {
  readonly ground: Ground
}

export const inWords = ({ ground, name, occurrence, when }: KillPoint) =>
  `${when} “${name}”${occurrence > 1 ? ` (time ${String(occurrence)})` : ''} of ${ground}`

/** Between two random kills, in ms: a run takes about as long. */
const longestWait = 2000
const day = 24 * 60 * 60 * 1000
const aYearAgo = new Date(Date.now() - 365 * day)

/** An installation in which one run after the other is killed, each on fresh ground. */
export class Trials implements AsyncDisposable {
  readonly installation: Installation
  /** The repository with an old backup; made when it is first needed. */
  #old: { readonly directory: string; readonly run: string } | undefined
  /** A process that has loaded its program: that takes longer than a run. */
  #spare: Promise<WorkerProcess> | undefined

  private constructor(installation: Installation) {
    this.installation = installation
  }

  static async start(): Promise<Trials> {
    const installation = await startInstallation({ BACKUP_RETENTION_MINIMUM: '1' })
    await installation.database.query(
      `CREATE TABLE orders AS SELECT n AS id, md5(n::text) AS code, repeat(md5((n * 7)::text), 4) AS note
       FROM generate_series(1, 12000) AS n`,
    )
    return new Trials(installation)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#spare
    await this.installation[Symbol.asyncDispose]()
  }

  /** The distinct effects of an undisturbed run in their order, each with how often it occurs. */
  async effects(ground: Ground): Promise<Map<string, number>> {
    await this.#prepare(ground)
    const counts = new Map<string, number>()
    await using worker = await this.#start({ serve: 'worker', tell: true, waitForArm: true })
    worker.process.on('message', ({ effect, when }: { effect?: string; when?: string }) => {
      if (effect !== undefined && when === 'before') counts.set(effect, (counts.get(effect) ?? 0) + 1)
    })
    await this.#arm(worker)
    const job = await this.installation.ended(await this.installation.request())
    if (job.failedReason) throw new Error(job.failedReason)
    return counts
  }

  /**
   * Kills a worker at `point` of a run and lets an ordinary one go on.
   * @returns whether the worker came to the point at all
   */
  async killAt(point: KillPoint): Promise<boolean> {
    const { installation } = this
    await this.#prepare(point.ground)
    await using first = await this.#start({ serve: 'worker', end: point, waitForArm: true })
    const killed = once(first.process, 'exit')
    await this.#arm(first)
    const run = await installation.request()
    // A worker that ends right after its last effect may be seen to be gone a little later than the run's end.
    await Promise.race([killed, installation.ended(run).then(() => delay(1000))])
    const met = first.process.signalCode === 'SIGKILL'
    // The kernel kills them with their worker; they may be seen a moment longer.
    if (met) await until('no tool is left', () => Promise.resolve(toolsOf(installation).length === 0))
    await first.kill('SIGKILL')

    await using _ = await this.#start({ serve: 'worker' })
    await this.expectSuccess(run, point.ground)
    return met
  }

  /** Kills two or three times one of two workers, at moments that `chance` (0 to 1) chooses. */
  async killAtRandom(chance: () => number): Promise<void> {
    await this.#prepare('a first run')
    const workers = [await this.#start({ serve: 'worker' }), await this.#start({ serve: 'worker' })]
    try {
      const run = await this.installation.request()
      const ended = this.installation.ended(run).then(() => true)
      for (let kills = chance() < 0.5 ? 2 : 3; kills > 0; kills--) {
        if (await Promise.race([ended, delay(chance() * longestWait, false)])) break
        const [victim] = workers.splice(Math.floor(chance() * workers.length), 1)
        await victim?.kill('SIGKILL')
        workers.push(await this.#start({ serve: 'worker' }))
      }
      await this.expectSuccess(run, 'a first run')
    } finally {
      await Promise.all(workers.map((worker) => worker.kill('SIGKILL')))
    }
  }

  /** Sees that the run ends well, that its backup is whole, and that nothing else is left. */
  async expectSuccess(run: string, ground: Ground): Promise<void> {
    const { installation } = this
    const { queues, storage, source } = installation
    const job = await installation.ended(run)
    expectSame(
      'result',
      (job.returnvalue as { outcome?: string } | null)?.outcome ?? job.failedReason,
      'success',
    )
    expectSame('report', (await installation.report(run))?.outcome, 'success')
    expectSame('spool', await installation.spoolRuns(), [])
    expectSame('waiting for children', await queues.get('run').getWaitingChildrenCount(), 0)
    // The old backup is past its retention: the run has pruned it.
    expectSame(`manifests of ${ground}`, await listRuns(storage, source), [run])
    await this.#checkWhole(run)
    let left: unknown
    await until(`nothing is left of ${run}`, async () => {
      left = [await sessionsOf(installation), toolsOf(installation)]
      return JSON.stringify(left) === '[[],[]]'
    }).catch((cause: unknown) => {
      throw new Error(`left behind: ${JSON.stringify(left)}`, { cause })
    })
  }

  async #checkWhole(run: string): Promise<void> {
    const { storage, source, config } = this.installation
    const opened = await readBackup(storage, source, run, new KeyRing(config.keys))
    const options = {
      predecessor: undefined,
      full: true,
      now: new Date(),
      signal: new AbortController().signal,
    }
    const { opened: count } = await checkBackup(storage, new BackupReader(storage, opened), options)
    if (count === 0) throw new Error('the backup holds no segment')
  }

  /** Fresh ground: a Redis without data and the repository that `ground` names. */
  async #prepare(ground: Ground): Promise<void> {
    const { queues, config } = this.installation
    await queues.redis.flushall()
    await rm(config.directory, { recursive: true, force: true })
    if (ground === 'a first run') return
    this.#old ??= await this.#makeOld()
    await cp(this.#old.directory, config.directory, { recursive: true, preserveTimestamps: true })
  }

  /** Makes a repository with one backup, a year old, of data that is there no more. */
  async #makeOld(): Promise<{ directory: string; run: string }> {
    const { installation } = this
    const { database, config } = installation
    await using worker = await this.#start({ serve: 'worker' })
    const run = await installation.request(aYearAgo)
    await installation.ended(run)
    await worker.kill('SIGKILL')
    await database.query(`UPDATE orders SET code = md5(code), note = reverse(note)`)
    const directory = `${config.directory}-old`
    await cp(config.directory, directory, { recursive: true })
    for (const name of await readdir(directory, { recursive: true })) {
      await utimes(join(directory, name), aYearAgo, aYearAgo)
    }
    await installation.queues.redis.flushall()
    await rm(config.directory, { recursive: true })
    return { directory, run }
  }

  /** Starts a process with this order and waits until it serves; the next one begins to load meanwhile. */
  async #start(order: Order): Promise<WorkerProcess> {
    const load = () => this.installation.startProgram('doomed-process.ts')
    const started = await (this.#spare ?? load())
    this.#spare = load()
    this.#spare.catch(() => undefined)
    const serves = said(started, 'serves')
    started.process.send(order)
    await serves
    return started
  }

  async #arm(worker: WorkerProcess): Promise<void> {
    const armed = said(worker, 'armed')
    worker.process.send({ arm: true })
    await armed
  }
}

function said(worker: WorkerProcess, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const hear = ({ at }: { at?: string }) => {
      if (at !== what) return
      worker.process.off('message', hear)
      resolve()
    }
    worker.process.on('message', hear)
    worker.process.once('exit', () => {
      reject(new Error(`the process ended before it said “${what}”`))
    })
  })
}

function expectSame(what: string, found: unknown, expected: unknown): void {
  if (JSON.stringify(found) === JSON.stringify(expected)) return
  throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`)
}
