import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import type { Job } from 'bullmq'
import { until } from '../helpers/command.ts'
import { startInstallation, testKey } from '../helpers/installation.ts'
import { makeBackup } from '../helpers/make-backup.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

let directory: TemporaryDirectory
beforeAll(async () => {
  directory = await temporaryDirectory()
})
afterAll(() => directory.remove())

it('scrubs each database of a group that has backups there, and asks for each once a slot', async () => {
  const file = directory.join('backup.config.yaml')
  await using installation = await startInstallation(async ({ url }) => {
    const group = `servers: { main: { url: '${url}' } }\nsources: { fleet: { server: main, database: '*' } }\n`
    await writeFile(file, `defaults: { scrub: { share: all } }\n${group}`)
    return { BACKUP_CONFIG: file }
  })
  const repository = join(installation.env['BACKUP_DIR'] ?? '', 'repository')
  for (const source of ['fleet-one', 'fleet-two', 'shop']) {
    await makeBackup({ url: installation.database.url, repository, source, key: testKey })
  }
  await using worker = await installation.startWorker()
  const queue = installation.queues.get('scrub')
  const slot = await installation.queues.add('scrub', 'slot', { v: 1, source: 'fleet' })
  const ended = async () => (await queue.getCompleted()) as Job[]
  await until('two scrubs', async () => (await ended()).length === 3)
  const done = new Map((await ended()).map(({ id, returnvalue }) => [id, returnvalue as object]))
  expect(done.get('slot')).toEqual({ asked: 2 })
  for (const source of ['fleet-one', 'fleet-two']) {
    const figures = { shards: 256, missing: 0, altered: 0, truncated: 0, unknown: 0 }
    expect(done.get(`${source}.local.${String(slot.timestamp)}`)).toMatchObject(figures)
  }
  expect(await queue.getFailedCount()).toBe(0)
  await worker.kill('SIGTERM')
})
