import { isLoopback } from '@securyflex/shared/config'
import type { Request, RequestHandler } from 'express'

/**
 * Refuses requests that name another host than this one, while only this machine can reach it: a web page
 * whose name is made to point at 127.0.0.1 (DNS rebinding) would otherwise read the dashboard. The port may
 * differ, as it does behind an ssh tunnel.
 */
export function requireKnownHost(configured: string): RequestHandler {
  const open = !isLoopback(configured)
  return (request, response, next) => {
    if (open || isOurs(hostName(request.headers.host), configured)) {
      next()
      return
    }
    response.status(421).type('text')
    response.send('The dashboard answers to localhost and 127.0.0.1 only; open it by one of these names.\n')
  }
}

function isOurs(host: string | undefined, configured: string): boolean {
  return host !== undefined && (host === configured || isLoopback(host))
}

/** The host of a Host header, without port and brackets. */
function hostName(header: string | undefined): string | undefined {
  if (header === undefined || !URL.canParse(`http://${header}`)) return undefined
  return new URL(`http://${header}`).hostname.replace(/^\[(.*)\]$/, '$1')
}

/**
 * Refuses changes that another site's page asks for with the visitor's password (CSRF). Browsers tell where a
 * request comes from in Sec-Fetch-Site (Fetch Metadata), older ones in Origin; what sends neither is no browser.
 */
export function requireSameSite(): RequestHandler {
  return (request, response, next) => {
    if (request.method === 'GET' || request.method === 'HEAD' || isFromHere(request)) {
      next()
      return
    }
    response.status(403).type('text').send('Changes are accepted from the dashboard’s own pages only.\n')
  }
}

function isFromHere(request: Request): boolean {
  const site = request.headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin'
  const { origin, host } = request.headers
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)
}
