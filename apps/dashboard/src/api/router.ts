import { BackupError } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import {
  askCancel,
  endPauses,
  listPauses,
  parseTrigger,
  pause,
  pauseSubject,
  type Queues,
  recentActions,
  redisTrouble,
  requestTriggered,
  retryRun,
} from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import express, {
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
  Router,
} from 'express'
import { requireToken } from '../access/token.ts'
import { readPast } from '../overview/facts.ts'
import type { Surroundings } from '../surroundings.ts'
import { refuse, refuseWith } from './answers.ts'
import { runsUnderWay, tellRun } from './runs.ts'

/** Bytes; a request names a source and four options. */
const longestBody = '16kb'
/** Actions that are told. */
const shownActions = 50

/** What programs may ask for over HTTP; docs/api.md. */
export function api(around: Surroundings): Router {
  const { config } = around
  const router = Router()
  router.use(requireToken(config.dashboard.apiToken, around.logger))
  router.use(express.json({ limit: longestBody, strict: true }))

  router.post(
    '/runs',
    answering(around, async (queues, request) => {
      requireJson(request)
      const trigger = parseTrigger(request.body)
      const now = new Date()
      const asked = { by: caller(request), at: now, id: newRunId(trigger.source, now) }
      return [202, await requestTriggered(queues, config, trigger, asked)]
    }),
  )
  router.get('/runs', async (request, response) => {
    await answer(around, response, async () => [200, await tellRuns(around, request)])
  })
  router.get('/runs/:run', async (request, response) => {
    await answer(around, response, async () => [
      200,
      await tellRun(config, reachable(around), request.params.run),
    ])
  })
  router.post(
    '/runs/:run/cancel',
    answering(around, async (queues, request) => {
      const run = String(request.params['run'])
      await askCancel(queues, run, caller(request))
      return [202, { run, state: 'cancelling' }]
    }),
  )
  router.post(
    '/runs/:run/retry',
    answering(around, async (queues, request) => {
      const run = String(request.params['run'])
      await retryRun(queues, run, caller(request))
      return [202, { run, state: 'waiting' }]
    }),
  )
  router.post(
    '/pause',
    answering(around, async (queues, request) => {
      const subject = await pauseSubject(queues, config, sourceIn(request))
      const changed = await pause(queues.redis, subject, caller(request), new Date())
      return [200, { paused: subject, changed }]
    }),
  )
  router.post(
    '/resume',
    answering(around, async (queues, request) => {
      const ended = await endPauses(queues, config, sourceIn(request), caller(request))
      return [200, { resumed: ended, changed: ended.length > 0 }]
    }),
  )
  router.get(
    '/control',
    answering(around, async (queues) => [
      200,
      { paused: await listPauses(queues.redis), actions: await recentActions(queues.redis, shownActions) },
    ]),
  )
  router.use((_request, response) => {
    refuse(response, 404, {
      code: 'NOT_FOUND',
      message: 'The API has no such address for this method.',
      hint: 'docs/api.md lists them.',
    })
  })
  router.use(failed(around))
  return router
}

type Answered = readonly [status: number, body: object]

/** A handler that needs the queues. */
function answering(
  around: Surroundings,
  work: (queues: Queues, request: Request) => Promise<Answered>,
): RequestHandler {
  return (request, response) =>
    answer(around, response, () => {
      const queues = reachable(around)
      if (queues === undefined) throw noRedis(around)
      return work(queues, request)
    })
}

async function answer(
  { logger, redis, address, trouble }: Surroundings,
  response: Response,
  work: () => Promise<Answered>,
): Promise<void> {
  try {
    const [status, body] = await work()
    response.status(status).set('Cache-Control', 'no-store').json(body)
  } catch (thrown) {
    const error = redisTrouble(thrown, address) ?? thrown
    // What Redis was asked while it went away was not done, or is not known to be.
    if (!(error instanceof BackupError) && redis.status !== 'ready')
      refuseWith(response, noRedis({ address, trouble }))
    else {
      if (!(error instanceof BackupError)) logger.error('The API could not answer.', { error })
      refuseWith(response, error)
    }
  }
}

function reachable({ redis, queues }: Surroundings): Queues | undefined {
  return redis.status === 'ready' ? queues() : undefined
}

function noRedis({ address, trouble }: Pick<Surroundings, 'address' | 'trouble'>): BackupError {
  const why = trouble()
  if (why?.class === 'user') return why
  return new BackupError('REDIS_UNREACHABLE', `Redis at ${address.shown} does not answer.`, {
    hint: 'Ask again when it does.',
  })
}

/** Who asks, as runs and the list of actions name it. */
function caller(request: Request): string {
  return `API (${request.socket.remoteAddress ?? 'unknown'})`
}

function requireJson(request: Request): void {
  if (request.is('json') !== false && request.body !== undefined) return
  throw new BackupError('PAYLOAD_INVALID', 'The request is no JSON.', {
    hint: 'Send the header “Content-Type: application/json” and for example {"source": "shop"}.',
    class: 'user',
  })
}

function hasBody({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/**
 * The source that a request names; undefined means everything, which only a request without a body, or with an empty
 * object, can mean: one that is not understood would pause all.
 * @throws PAYLOAD_INVALID
 */
function sourceIn(request: Request): string | undefined {
  if (hasBody(request)) requireJson(request)
  const body: unknown = request.body ?? {}
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
    const { source, ...more } = body as { readonly source?: unknown }
    const named = source === undefined || typeof source === 'string'
    if (named && Object.keys(more).length === 0) return source
  }
  throw new BackupError('PAYLOAD_INVALID', 'This names no source.', {
    hint: 'Send {"source": "shop"}, or nothing for everything.',
    class: 'user',
  })
}

/** What is under way, and the newest runs from their reports. */
async function tellRuns(around: Surroundings, request: Request): Promise<object> {
  const { config } = around
  const queues = reachable(around)
  const wanted = request.query['source']
  const every = [...config.sources, ...config.groups].map(({ name }) => name)
  const sources = typeof wanted === 'string' ? [wanted] : every
  if (sources.some((name) => !/^[A-Za-z0-9_-]{1,64}$/.test(name))) {
    throw new BackupError('SOURCE_UNKNOWN', 'That is no name of a source.', {
      hint: `Write one of: ${every.join(', ')}.`,
    })
  }
  const underWay = queues === undefined ? undefined : await runsUnderWay(queues)
  const members = typeof wanted !== 'string'
  const { runs } = await readPast(config, new KeyRing(config.keys), sources, { members })
  return {
    underWay: underWay?.filter(({ source }) => typeof wanted !== 'string' || source === wanted) ?? null,
    reports: runs.flatMap(({ report }) => (report === undefined ? [] : [report])),
  }
}

/** A body that is no JSON, or too long. */
function failed({ logger }: Surroundings): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    const status =
      typeof error === 'object' && error !== null && 'status' in error ? Number(error.status) : 500
    if (response.headersSent) next(error)
    else if (status >= 400 && status < 500) {
      const message = status === 413 ? 'The request is longer than 16 kB.' : 'The request is no JSON.'
      refuse(response, status, {
        code: 'PAYLOAD_INVALID',
        message,
        hint: 'Send for example {"source": "shop"}.',
      })
    } else {
      logger.error('The API could not answer.', { error })
      refuse(response, 500, {
        code: 'INTERNAL',
        message: 'The API could not answer; the dashboard’s log says why.',
      })
    }
  }
}
