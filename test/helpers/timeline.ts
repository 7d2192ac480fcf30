import { once } from 'node:events'
import type { Job } from 'bullmq'
import { until } from './command.ts'
import type { Installation, WorkerProcess } from './installation.ts'

const hour = 60 * 60 * 1000

/**
 * An installation whose processes live in a time that the test sets. Time passes in steps; after each, everything
 * that was due by then has been done. Redis, PostgreSQL and the runs are real.
 */
export class Timeline {
  readonly #installation: Installation
  #now: Date
  #processes: WorkerProcess[] = []
  #workers = 0

  constructor(installation: Installation, begin: Date) {
    this.#installation = installation
    this.#now = begin
  }

  /** Starts so many processes, all at once. */
  async start(many: { producers: number; workers: number }): Promise<void> {
    const programs = (what: string, count: number) =>
      Array.from({ length: count }, () =>
        this.#installation.startProgram('clocked-process.ts', what, this.#now.toISOString()),
      )
    const started = [...programs('producer', many.producers), ...programs('worker', many.workers)]
    this.#processes.push(...(await Promise.all(started)))
    this.#workers += many.workers
    await this.#set()
  }

  /** Kills every process: nobody can say anything before the end. */
  async kill(): Promise<void> {
    await Promise.all(this.#processes.splice(0).map((process) => process.kill('SIGKILL')))
    this.#workers = 0
  }

  /** Has every clock show `time`, which may lie in the past, and waits until all that is due then is done. */
  async to(time: string | Date): Promise<void> {
    this.#now = new Date(time)
    await this.#set()
  }

  /** Lets an hour after the other pass. */
  async hours(many: number): Promise<void> {
    for (let passed = 1; passed <= many; passed++) await this.to(new Date(this.#now.getTime() + hour))
  }

  /** Every run that was asked for, by the slot that it was asked for, in ISO 8601; oldest first. */
  async slots(): Promise<string[]> {
    const jobs = (await this.#installation.queues.get('run').getJobs()) as Job[]
    return jobs.map(({ data }) => (data as { slot?: string }).slot ?? 'no slot').sort()
  }

  /** The slots of the runs that made a backup. */
  async backups(): Promise<string[]> {
    const jobs = (await this.#installation.queues.get('run').getCompleted()) as Job[]
    const good = jobs.filter(({ returnvalue }) => (returnvalue as { outcome?: string }).outcome === 'success')
    return good.map(({ data }) => (data as { slot?: string }).slot ?? 'no slot').sort()
  }

  async #set(): Promise<void> {
    const told = this.#processes.map(async ({ process }) => {
      const set = once(process, 'message')
      process.send({ now: this.#now.toISOString() })
      await set
    })
    await Promise.all(told)
    if (this.#workers > 0) await until(`quiet at ${this.#now.toISOString()}`, () => this.#isQuiet())
  }

  /** Nothing that is due waits, and nothing is under way. */
  async #isQuiet(): Promise<boolean> {
    const { queues } = this.#installation
    // A worker that sleeps until its next job, by the clock that it had, is woken as by a new job.
    for (let worker = 1; worker <= this.#workers; worker++) {
      await queues.redis.zadd('securyflex:schedule:marker', '0', '0')
    }
    const [, score = 'inf'] = await queues.redis.zrange('securyflex:schedule:delayed', '0', '0', 'WITHSCORES')
    // BullMQ keeps milliseconds and a counter of 12 bits in one number.
    const next = Number(score) / 0x1000
    if (next <= this.#now.getTime()) return false
    const slots = await queues.get('schedule').getJobCounts('waiting', 'active')
    const runs = await queues
      .get('run')
      .getJobCounts('waiting', 'active', 'delayed', 'waiting-children', 'prioritized')
    return [...Object.values(slots), ...Object.values(runs)].every((count) => count === 0)
  }
}
