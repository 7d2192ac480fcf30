import { markAsUntransferable } from 'node:worker_threads'

/**
 * `body`, whose memory nobody may take away from now on. A server may answer before it has read everything, and whoever
 * gave the body is then through with it, while the system is still sending from where it is.
 */
export function held(body: Uint8Array): Uint8Array {
  markAsUntransferable(body.buffer)
  return body
}
