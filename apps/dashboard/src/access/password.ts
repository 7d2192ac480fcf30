import type { Dashboard } from '@securyflex/shared/config'
import type { Logger } from '@securyflex/shared/logging'
import type { Request, RequestHandler, Response } from 'express'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { comparison } from './comparison.ts'

/** Wrong passwords that one address may try in a minute; then it must wait out that minute. */
const attempts = 10
const window = 60

/**
 * Asks for user and password (HTTP basic, RFC 7617) where they are configured. A wrong password is logged
 * with the address it came from and nothing of what was typed: people type passwords into the wrong field.
 */
export function requirePassword({ user, password }: Dashboard, logger: Logger): RequestHandler {
  if (user === undefined || password === undefined) {
    return (_request, _response, next) => {
      next()
    }
  }
  const failures = new RateLimiterMemory({ points: attempts, duration: window })
  const isRight = comparison(`${user}:${password.reveal()}`)
  return async (request, response, next) => {
    const from = request.socket.remoteAddress ?? 'unknown'
    const failed = await failures.get(from)
    if (failed !== null && failed.consumedPoints >= attempts) {
      refuse(response, failed.msBeforeNext)
      return
    }
    const given = credentials(request)
    if (given !== undefined && isRight(given)) {
      next()
      return
    }
    // A browser's first request carries no password; only what was typed and is wrong counts.
    if (given !== undefined) {
      const { consumedPoints } = await failures.penalty(from)
      logger.warn(`A wrong user or password was given at the dashboard.`, { from, failures: consumedPoints })
    }
    response.status(401).set('WWW-Authenticate', 'Basic realm="SecuryFlex Backup", charset="UTF-8"')
    response.type('text').send('User and password are needed: DASHBOARD_USER and DASHBOARD_PASSWORD.\n')
  }
}

function refuse(response: Response, wait: number): void {
  const seconds = Math.ceil(wait / 1000)
  response.status(429).set('Retry-After', String(seconds))
  response.type('text').send(`Too many wrong passwords came from your address; try again in ${seconds} s.\n`)
}

/** `user:password` as it was sent; undefined if none was. */
function credentials(request: Request): string | undefined {
  const match = /^basic\s+([A-Za-z0-9+/=_-]+)\s*$/i.exec(request.headers.authorization ?? '')
  return match?.[1] === undefined ? undefined : Buffer.from(match[1], 'base64').toString('utf8')
}
