import { createHmac, randomUUID } from 'node:crypto'
import { BackupError, type ErrorClass, type Secret, systemCode } from '@securyflex/shared/errors'
import type { Message } from './message.ts'

/** Where to, what to call it, and what signs. */
export interface WebhookTarget {
  readonly url: Secret
  readonly shown: string
  readonly secret: Secret | undefined
}

export interface SendOptions {
  /** Ends the attempt; its reason is thrown. */
  readonly signal?: AbortSignal
  /** Names this announcement, the same when it is tried again, so that receivers notice a repetition; else random. */
  readonly delivery?: string
  /** Milliseconds until an attempt is given up; default 10,000. */
  readonly timeout?: number
}

/** Statuses below 500 that pass: request timeout, too early, too many requests (RFC 9110, 8470, 6585). */
const passing = new Set([408, 425, 429])

/**
 * Posts `message` as JSON, once; whoever calls decides about repeating by the error's class.
 *
 * @throws WEBHOOK_FAILED, transient for network errors, timeouts and statuses that pass, else permanent;
 * redirects are not followed, because a signed message belongs to one address.
 */
export async function sendWebhook(
  webhook: WebhookTarget,
  message: Message,
  { signal, delivery = randomUUID(), timeout = 10_000 }: SendOptions = {},
): Promise<void> {
  const body = JSON.stringify(message)
  const patience = AbortSignal.timeout(timeout)
  let response: Response
  try {
    response = await fetch(webhook.url.reveal(), {
      method: 'POST',
      body,
      redirect: 'manual',
      headers: headers(body, webhook.secret, delivery),
      signal: signal === undefined ? patience : AbortSignal.any([signal, patience]),
    })
  } catch (error) {
    signal?.throwIfAborted()
    const why = patience.aborted ? `did not answer within ${String(timeout / 1000)} s` : networkReason(error)
    throw failure(
      webhook,
      why,
      'transient',
      'Check that the receiver runs and that this machine may reach it.',
      error,
    )
  }
  // What it says is not read; an unread body would keep the connection.
  await response.body?.cancel()
  if (!response.ok) throw refused(webhook, response)
}

function headers(body: string, secret: Secret | undefined, delivery: string): Record<string, string> {
  const signature =
    secret === undefined ? undefined : createHmac('sha256', secret.reveal()).update(body).digest('hex')
  return {
    'content-type': 'application/json; charset=utf-8',
    'user-agent': 'SecuryFlex-Backup',
    'x-securyflex-delivery': delivery,
    ...(signature === undefined ? {} : { 'x-securyflex-signature': `sha256=${signature}` }),
  }
}

function refused(webhook: WebhookTarget, { status, statusText }: Response): BackupError {
  const passes = status >= 500 || passing.has(status)
  const hint =
    status >= 300 && status < 400
      ? 'Set BACKUP_WEBHOOK_URL to the address that it redirects to.'
      : 'Check BACKUP_WEBHOOK_URL, and what the receiver logged.'
  const why = `answered ${String(status)} ${statusText}`.trimEnd()
  return failure(webhook, why, passes ? 'transient' : 'permanent', hint)
}

function networkReason(error: unknown): string {
  const cause = typeof error === 'object' && error !== null && 'cause' in error ? error.cause : undefined
  return `cannot be reached (${systemCode(cause) ?? systemCode(error) ?? 'network error'})`
}

function failure(
  { shown }: WebhookTarget,
  why: string,
  kind: ErrorClass,
  hint: string,
  cause?: unknown,
): BackupError {
  return new BackupError('WEBHOOK_FAILED', `The webhook at ${shown} ${why}.`, { class: kind, hint, cause })
}
