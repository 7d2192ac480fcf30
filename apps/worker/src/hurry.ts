import { type Payloads, type Queues, queueName } from '@securyflex/shared/queue'
import type { Job } from 'bullmq'

/**
 * Lets what waits for its next try in a cancelled run have it now: it finds the run cancelled and ends, and the run
 * with it, which would otherwise stand there for minutes. Messages wait on: they are for a channel that is down.
 * @param names of the queues that this worker serves
 */
export async function hurry(queues: Queues, names: readonly string[], run: string): Promise<void> {
  for (const name of names.filter((name) => name !== queueName('schedule') && name !== queueName('notify'))) {
    for (const job of (await queues.byName(name).getDelayed()) as Job[]) {
      if (job.id !== run && (job.data as Partial<Payloads['dump']> | null)?.run !== run) continue
      await job.promote().catch(async (error: unknown) => {
        // Its time had come, or another worker was first.
        if (await job.isDelayed()) throw error
      })
    }
  }
}
