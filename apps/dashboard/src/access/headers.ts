import type { RequestHandler } from 'express'
import helmet from 'helmet'

const ours = {
  defaultSrc: ["'none'"],
  styleSrc: ["'self'"],
  imgSrc: ["'self'", 'data:'],
  baseUri: ["'none'"],
  formAction: ["'self'"],
  frameAncestors: ["'none'"],
}

/** Bull Board is a program of its own in the browser; what it wants from other servers (a font) is not fetched. */
const board = {
  ...ours,
  formAction: ["'none'"],
  scriptSrc: ["'self'"],
  styleSrc: ["'self'", "'unsafe-inline'"],
  connectSrc: ["'self'"],
  fontSrc: ["'self'", 'data:'],
  baseUri: ["'self'"],
}

/** Headers of our own pages: no script at all, nothing from elsewhere, in nobody's frame. */
export function pageHeaders(): RequestHandler {
  return headers(ours)
}

/** Headers of Bull Board's pages. */
export function boardHeaders(): RequestHandler {
  return headers(board)
}

function headers(directives: Record<string, string[]>): RequestHandler {
  return helmet({
    contentSecurityPolicy: { useDefaults: false, directives },
    // It speaks plain HTTP; who puts TLS in front of it decides on this one.
    strictTransportSecurity: false,
    // Origin is sent with changes, which is what tells ours from others'.
    referrerPolicy: { policy: 'same-origin' },
    xFrameOptions: { action: 'deny' },
  })
}
