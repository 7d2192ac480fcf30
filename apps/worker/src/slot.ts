import type { Job } from 'bullmq'

/** The scheduler of a slot's job and the time that it meant: BullMQ names it `repeat:<scheduler>:<milliseconds>`. */
export function slotOf(job: Job): { id: string | undefined; slot: Date } {
  const [, id, milliseconds] = /^repeat:(.*):(\d+)$/.exec(job.id ?? '') ?? []
  return { id, slot: new Date(milliseconds === undefined ? job.timestamp : Number(milliseconds)) }
}
