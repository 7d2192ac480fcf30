import { sendWebhook } from '@securyflex/shared/notify'
import { messageSchema } from '@securyflex/shared/notify'
import { BackupError } from '@securyflex/shared/errors'
import type { StepDefinition } from './step.ts'

/** Tells one channel how a run ended. A dead channel changes no outcome. */
export const notifyStep: StepDefinition<'notify'> = {
  step: 'notify',
  evenIfCancelled: true,
  async work({ payload, config, logger, signal, job }) {
    const message = messageSchema.parse(payload.message)
    if (payload.channel === 'log') {
      const level = message.outcome === 'success' ? 'info' : 'error'
      logger[level](message.text, { message })
      return { delivered: true }
    }
    if (config.webhook === undefined) {
      throw new BackupError('CONFIG_INVALID', 'This worker has no webhook to tell.', {
        hint: 'Set BACKUP_WEBHOOK_URL for all workers alike.',
        class: 'permanent',
      })
    }
    await sendWebhook(config.webhook, message, { signal, delivery: job.id ?? payload.run })
    return { delivered: true }
  },
}
