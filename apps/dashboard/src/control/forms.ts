import { asBackupError, BackupError } from '@securyflex/shared/errors'
import {
  askCancel,
  endPauses,
  parseTrigger,
  pause,
  pauseSubject,
  type Queues,
  redisTrouble,
  requestTriggered,
  retryRun,
} from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import express, { type Request, type RequestHandler, Router } from 'express'
import { visitorOf } from '../access/visitor.ts'
import { statusOf } from '../api/answers.ts'
import { html } from '../overview/html.ts'
import { page } from '../overview/page.ts'
import type { Surroundings } from '../surroundings.ts'

/** Does what a button of the first page says, as `by`; `subject` is a source, a run, or empty for everything. */
type Control = (around: Surroundings, queues: Queues, subject: string, by: string) => Promise<unknown>

const controls: Readonly<Record<string, Control>> = {
  backup: ({ config }, queues, source, by) => {
    const now = new Date()
    const asked = { by, at: now, id: newRunId(source, now) }
    return requestTriggered(queues, config, parseTrigger({ source }), asked)
  },
  pause: async ({ config }, queues, source, by) =>
    pause(queues.redis, await pauseSubject(queues, config, named(source)), by, new Date()),
  resume: async ({ config }, queues, source, by) => endPauses(queues, config, named(source), by),
  cancel: (_around, queues, run, by) => askCancel(queues, run, by),
  retry: (_around, queues, run, by) => retryRun(queues, run, by),
}

const named = (source: string) => (source === '' ? undefined : source)

/**
 * The buttons of the first page. Whoever gets here has given the password, where there is one, from a page of this
 * dashboard. What was done is seen on the first page; what was refused is said with the reason.
 */
export function forms(around: Surroundings): Router {
  const router = Router()
  router.use(express.urlencoded({ extended: false, limit: '4kb' }))
  for (const [name, control] of Object.entries(controls)) router.post(`/${name}`, doing(around, control))
  return router
}

function doing(around: Surroundings, control: Control): RequestHandler {
  return async (request, response) => {
    try {
      const queues = around.redis.status === 'ready' ? around.queues() : undefined
      if (queues === undefined) throw noRedis(around)
      await control(around, queues, subjectIn(request), visitorOf(around.config, request))
      response.redirect(303, '/')
    } catch (thrown) {
      const error = redisTrouble(thrown, around.address) ?? thrown
      const known =
        error instanceof BackupError || around.redis.status === 'ready'
          ? asBackupError(error)
          : noRedis(around)
      if (known.code === 'INTERNAL') throw error
      response.status(statusOf(known)).type('html')
      response.send(
        page(
          'Not done',
          html`<h1>Not done</h1>
            <div class="notice">
              <p>${known.message}</p>
              <p>${known.hint}</p>
            </div>
            <p><a href="/">Back to the first page</a></p>`,
        ),
      )
    }
  }
}

function subjectIn(request: Request): string {
  const form: unknown = request.body
  if (typeof form !== 'object' || form === null) return ''
  const given = 'run' in form ? form.run : 'source' in form ? form.source : ''
  return typeof given === 'string' ? given : ''
}

function noRedis({ address, trouble }: Surroundings): BackupError {
  const why = trouble()
  if (why?.class === 'user') return why
  return new BackupError(
    'REDIS_UNREACHABLE',
    `Redis at ${address.shown} does not answer, so nothing was done.`,
    {
      hint: 'Try again when it does.',
    },
  )
}
