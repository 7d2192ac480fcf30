import { describe, expect, it } from '@jest/globals'
import { asBackupError } from '@securyflex/shared/errors'
import { parsePayload, parseResult, type Payloads } from './index.ts'

const run = 'shop.20261123T020000Z.3fa2'
const options = {
  compression: { algorithm: 'zstd', level: 3 },
  cipher: 'aes-256-gcm',
  fingerprint: 'counts',
  retentionDays: 30,
} as const
const digest = 'a'.repeat(64)
const dump = {
  attempt: '9f3c2a1b',
  batches: 2,
  startedAt: '2026-11-23T02:00:00.000Z',
  snapshotAt: '2026-11-23T02:00:00.000Z',
  finishedAt: '2026-11-23T02:00:00.000Z',
  tool: 'pg_dump 15.18',
  server: { version: '15.18', major: 15, systemIdentifier: null },
  database: { name: 'shop', locale: null },
  streams: [{ kind: 'archive', bytes: 1, digest, segments: 1 }],
  newBytes: 1,
}
const common = { v: 1, run, source: 'shop' } as const
const batch = { ...common, attempt: '9f3c2a1b', batch: 1 } as const

const good: { [S in keyof Payloads]: Payloads[S] } = {
  schedule: { v: 1, source: 'shop' },
  run: {
    v: 1,
    source: 'shop',
    requestedBy: 'schedule',
    requestedAt: dump.startedAt,
    options: { cipher: 'none' },
  },
  dump: { ...common, options, destinations: ['local'] },
  compress: { ...batch, options },
  encrypt: { ...batch, options },
  upload: { ...batch, destination: 'local' },
  seal: { ...common, destination: 'local', requestedAt: dump.startedAt, options, dump },
  verify: { ...common, destination: 'local' },
  prune: { ...common, destination: 'local' },
  notify: { ...common, channel: 'log', message: { version: 1 } },
  copy: { ...common, destination: 'local' },
  scrub: { v: 1, source: 'shop' },
}

const refusal = (work: () => unknown) => {
  try {
    work()
  } catch (error) {
    return asBackupError(error)
  }
  throw new Error('it was accepted')
}

describe('a payload', () => {
  it.each(Object.keys(good) as (keyof Payloads)[])('of %s is taken as it is', (step) => {
    expect(parsePayload(step, good[step])).toEqual(good[step])
  })

  it.each(Object.keys(good) as (keyof Payloads)[])(
    'of %s is refused without any one of its fields, naming it',
    (step) => {
      for (const field of Object.keys(good[step]).filter((name) => !(step === 'run' && name === 'options'))) {
        const error = refusal(() => parsePayload(step, { ...good[step], [field]: undefined }))
        expect([error.code, error.class]).toEqual(['PAYLOAD_INVALID', 'permanent'])
        expect(error.message).toContain(`a ${step} job's payload: ${field}: `)
      }
    },
  )

  it.each<[keyof Payloads, object, string]>([
    ['dump', { v: 2 }, 'v'],
    ['dump', { source: '../shop' }, 'source'],
    ['dump', { source: 'x'.repeat(65) }, 'source'],
    ['dump', { run: '../../etc' }, 'run'],
    ['dump', { run: '..' }, 'run'],
    ['dump', { run: 'a/b' }, 'run'],
    ['dump', { destinations: [] }, 'destinations'],
    ['dump', { destinations: ['local', 'a b'] }, 'destinations.1'],
    ['dump', { options: { ...options, cipher: 'des' } }, 'options.cipher'],
    [
      'dump',
      { options: { ...options, compression: { algorithm: 'zstd', level: 99 } } },
      'options.compression.level',
    ],
    ['dump', { options: { ...options, retentionDays: -1 } }, 'options.retentionDays'],
    ['compress', { attempt: '../x' }, 'attempt'],
    ['compress', { batch: 0 }, 'batch'],
    ['upload', { batch: 1.5 }, 'batch'],
    ['upload', { destination: 'a/b' }, 'destination'],
    ['seal', { dump: { ...dump, streams: [{ ...dump.streams[0], digest: 'x' }] } }, 'dump.streams.0.digest'],
    ['run', { requestedAt: 'yesterday' }, 'requestedAt'],
    ['run', { plan: { startedAt: dump.startedAt, destinations: ['local'] } }, 'plan.options'],
    ['notify', { channel: 'pigeon' }, 'channel'],
    ['notify', { message: 'text' }, 'message'],
  ])('of %s with %j is refused, naming %s', (step, changes, field) => {
    const error = refusal(() => parsePayload(step, { ...good[step], ...changes }))
    expect(error.message).toContain(`payload: ${field}: `)
    expect(error.hint).toContain('same version')
  })

  it.each([undefined, null, 'text', 1, []])('is not %j', (data) => {
    expect(refusal(() => parsePayload('dump', data)).code).toBe('PAYLOAD_INVALID')
  })
})

describe('a result', () => {
  it('is what the step did, or why it did nothing', () => {
    expect(parseResult('dump', dump)).toEqual(dump)
    expect(parseResult('upload', { segments: 1, bytes: 2 })).toEqual({ segments: 1, bytes: 2 })
    for (const skipped of ['superseded', 'cancelled', 'done'])
      expect(parseResult('seal', { skipped })).toEqual({ skipped })
  })

  it.each([undefined, null, {}, { skipped: 'tired' }, { delivered: false }])('is not %j', (value) => {
    expect(refusal(() => parseResult('notify', value)).message).toContain("a notify job's result")
  })
})
