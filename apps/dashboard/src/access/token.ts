import type { Secret } from '@securyflex/shared/errors'
import type { Logger } from '@securyflex/shared/logging'
import type { RequestHandler } from 'express'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { refuse } from '../api/answers.ts'
import { comparison } from './comparison.ts'

/** Wrong tokens that one address may try in a minute; then it must wait out that minute. */
const attempts = 10
const window = 60

/** Asks for the token (RFC 6750, in the header only). Without a configured one nothing is answered but why. */
export function requireToken(token: Secret | undefined, logger: Logger): RequestHandler {
  if (token === undefined) {
    return (_request, response) => {
      refuse(response, 404, {
        code: 'API_OFF',
        message: 'The API is off: BACKUP_API_TOKEN is not set.',
        hint: 'Set it, for example to what “openssl rand -hex 32” prints, and start the dashboard again.',
      })
    }
  }
  const failures = new RateLimiterMemory({ points: attempts, duration: window })
  const isRight = comparison(token.reveal())
  return async (request, response, next) => {
    const from = request.socket.remoteAddress ?? 'unknown'
    const failed = await failures.get(from)
    if (failed !== null && failed.consumedPoints >= attempts) {
      const seconds = Math.ceil(failed.msBeforeNext / 1000)
      response.set('Retry-After', String(seconds))
      const message = `Too many wrong tokens came from this address; it is answered again in ${seconds} s.`
      refuse(response, 429, { code: 'TOO_MANY', message })
      return
    }
    const given = /^bearer ([\x21-\x7e]+) *$/i.exec(request.headers.authorization ?? '')?.[1]
    if (given !== undefined && isRight(given)) {
      next()
      return
    }
    const { consumedPoints } = await failures.penalty(from)
    logger.warn('A wrong token was given at the API.', { from, failures: consumedPoints })
    response.set('WWW-Authenticate', 'Bearer realm="SecuryFlex Backup"')
    refuse(response, 401, {
      code: 'TOKEN_WRONG',
      message: 'This needs the token of the API.',
      hint: 'Send the header “Authorization: Bearer” with what BACKUP_API_TOKEN is set to.',
    })
  }
}
