import { readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { onlyInFull } from '../helpers/in-full.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'

let installation: Installation

beforeAll(async () => {
  installation = await startInstallation()
  await installation.database.query(
    `CREATE TABLE orders AS SELECT n AS id, md5(n::text) AS code FROM generate_series(1, 3000) AS n`,
  )
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
})

/** Nothing in the spool is flushed to the disk: what a power cut leaves of a file may be nothing, or zeros, or not even its name. */
describe('a power cut', () => {
  const damages = {
    empty(path: string) {
      truncateSync(path, 0)
    },
    'of zeros'(path: string) {
      writeFileSync(path, Buffer.alloc(statSync(path).size))
    },
    gone(path: string) {
      rmSync(path)
    },
  }

  it.each([
    ['compress:begun', 'current', 'empty'],
    ['seal:begun', 'done.local', 'of zeros'],
    ['seal:begun', 'archive.list', 'gone'],
    ['seal:done', 'done.local', 'empty'],
    ...onlyInFull(
      ['compress:begun', 'current', 'gone'] as const,
      ['compress:begun', 'attempt.json', 'gone'] as const,
      ['compress:begun', 'raw', 'gone'] as const,
      ['compress:begun', 'reservation', 'gone'] as const,
      ['encrypt:begun', 'packed', 'gone'] as const,
      ['encrypt:begun', 'reservation', 'gone'] as const,
      ['upload:begun', 'sealed', 'gone'] as const,
      ['seal:begun', 'current', 'gone'] as const,
      ['seal:begun', 'done.local', 'gone'] as const,
      ['seal:begun', 'archive.list', 'of zeros'] as const,
      ['seal:done', 'current', 'gone'] as const,
      ['compress:begun', 'attempt.json', 'empty'] as const,
      ['compress:begun', 'raw', 'empty'] as const,
      ['encrypt:begun', 'packed', 'of zeros'] as const,
      ['encrypt:begun', 'current', 'of zeros'] as const,
      ['upload:begun', 'sealed', 'empty'] as const,
      ['upload:begun', 'attempt.json', 'of zeros'] as const,
      ['seal:begun', 'done.local', 'empty'] as const,
      ['seal:begun', 'archive.list', 'empty'] as const,
      ['seal:begun', 'current', 'empty'] as const,
      ['seal:begun', 'attempt.json', 'empty'] as const,
    ),
  ] as const)(
    'at %s after which %s is %s does not keep the run from its success',
    async (place, name, damage) => {
      await using first = await installation.startWorker(place)
      const run = await installation.request()
      await first.held
      await first.kill('SIGKILL')
      const root = join(installation.config.spool.directory, 'runs', run)
      const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
        (path) => basename(path) === name,
      )
      expect(files).not.toEqual([])
      for (const path of files) damages[damage](join(root, path))

      await using second = await installation.startWorker()
      const job = await installation.ended(run)
      expect(job.returnvalue).toMatchObject({ outcome: 'success' })
      expect(await installation.report(run)).toMatchObject({ outcome: 'success' })
      expect(await installation.spoolRuns()).toEqual([])
      expect(second.process.exitCode).toBeNull()
    },
  )
})
