import { describe } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import type { Logger } from '@securyflex/shared/logging'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import { boardHeaders, pageHeaders } from './access/headers.ts'
import { requirePassword } from './access/password.ts'
import { requireKnownHost, requireSameSite } from './access/same-site.ts'
import { visitorOf } from './access/visitor.ts'
import { api } from './api/router.ts'
import { askedBy } from './board/recorded.ts'
import { forms } from './control/forms.ts'
import { controlPath } from './overview/controls.ts'
import { askQueues, type Live, readPast } from './overview/facts.ts'
import { firstPage } from './overview/first-page.ts'
import { html } from './overview/html.ts'
import { page, style, stylePath } from './overview/page.ts'
import { answers } from './redis.ts'
import type { Surroundings } from './surroundings.ts'

/** All that is answered, in the order in which it is checked. */
export function dashboardApp(around: Surroundings): Express {
  const app = express().disable('x-powered-by').disable('etag')
  app.use(pageHeaders(), requireKnownHost(around.config.dashboard.host))
  app.get('/healthz', health(around))
  // Programs show a token instead of the password; a page of another site could not, and is refused before.
  app.use('/api/v1', requireSameSite(), api(around))
  app.use(requirePassword(around.config.dashboard, around.logger), requireSameSite())
  app.get('/', overview(around))
  app.get(stylePath, (_request, response) => {
    response.type('css').send(style)
  })
  app.use(controlPath, forms(around))
  app.use('/board', boardHeaders(), board(around))
  app.use(notFound, failed(around.logger))
  return app
}

/** For monitors and containers: no password, and no more than this. */
function health({ redis }: Surroundings): RequestHandler {
  return async (_request, response) => {
    const up = await answers(redis)
    response.status(up ? 200 : 503).set('Cache-Control', 'no-store')
    response.json(up ? { status: 'ok', redis: 'ok' } : { status: 'unavailable', redis: 'unreachable' })
  }
}

function overview(around: Surroundings): RequestHandler {
  const { config, address } = around
  const keys = new KeyRing(config.keys)
  return async (_request, response) => {
    const live = await askOrNothing(around)
    const configured = [...config.sources, ...config.groups].map(({ name }) => name)
    const sources = new Set([...configured, ...(live?.sources ?? [])])
    const past = await readPast(config, keys, [...sources], { members: true })
    response.set('Cache-Control', 'no-store').type('html')
    response.send(
      firstPage(config, { now: new Date(), live, redis: address.shown, trouble: around.trouble(), past }),
    )
  }
}

/** Nothing while Redis is away: the page says so, and shows the rest. */
async function askOrNothing({ config, logger, redis, queues }: Surroundings): Promise<Live | undefined> {
  const open = queues()
  if (open === undefined || redis.status !== 'ready') return undefined
  try {
    return await askQueues(
      open,
      config.destinations.map(({ name }) => name),
    )
  } catch (error) {
    logger.debug('The queues could not be asked.', { error })
    return undefined
  }
}

/** Bull Board, or a sentence while Redis is away. */
function board({ config, address, redis, trouble, board: ready }: Surroundings): RequestHandler {
  return (request, response, next) => {
    const handler = ready()
    const isAsset = request.path.startsWith('/static/')
    if (handler !== undefined && (isAsset || redis.status === 'ready')) {
      void askedBy(visitorOf(config, request), () => handler(request, response, next))
      return
    }
    const why = trouble()
    const message =
      why === undefined
        ? `Redis at ${address.shown} does not answer. Start it, or the whole service with: npm start`
        : describe(why)
    response.status(503).set('Retry-After', '5')
    if (request.path.startsWith('/api/'))
      response.json({ error: { key: 'ERRORS.REDIS_UNAVAILABLE' }, message })
    else
      response.type('html').send(
        page(
          'Queues',
          html`<h1>Queues</h1>
            <div class="notice"><p>${message}</p></div>`,
        ),
      )
  }
}

const notFound: RequestHandler = (_request, response) => {
  response.status(404).type('html')
  response.send(
    page(
      'Not found',
      html`<h1>Not found</h1>
        <p>There is no such page; <a href="/">go to the first one</a>.</p>`,
    ),
  )
}

/** What went wrong stands in the log; the visitor is told where to look, and no more. */
function failed(logger: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (response.headersSent) {
      next(error)
      return
    }
    logger.error('A page could not be made.', { method: request.method, path: request.path, error })
    response.status(500).type('html')
    response.send(
      page(
        'Error',
        html`<h1>This page could not be made</h1>
          <p>The dashboard’s log says why.</p>`,
      ),
    )
  }
}
