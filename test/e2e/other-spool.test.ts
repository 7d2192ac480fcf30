import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { prefix } from '@securyflex/shared/queue'
import { startCommand } from '../helpers/command.ts'
import { startInstallation } from '../helpers/installation.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

it('a worker whose spool is not the other workers’ does not start and says why, and they go on', async () => {
  await using installation = await startInstallation()
  await using elsewhere = await temporaryDirectory()
  await using first = await installation.startWorker()
  const idIn = async (directory: string) =>
    (JSON.parse(await readFile(join(directory, 'spool.json'), 'utf8')) as { id: string }).id
  const { env, config, queues } = installation
  const other = { ...env, BACKUP_SPOOL_DIR: elsewhere.join('spool') }

  await using stranger = startCommand(['worker'], other, elsewhere.path)
  expect(await stranger.ended).toBe(6)
  const ids = [await idIn(elsewhere.join('spool')), await idIn(config.spool.directory)]
  expect(stranger.lines.slice(-2)).toEqual([
    `This worker’s spool (${ids[0] ?? ''}) is not the other workers’ (${ids[1] ?? ''}).`,
    'Give all workers one volume as BACKUP_SPOOL_DIR; after moving it, stop them all for a minute.',
  ])
  expect(await queues.get('dump').getWorkersCount()).toBe(1)

  // One that shares the volume under another path is none of them.
  await using second = startCommand(['worker'], { ...env }, elsewhere.path)
  await second.line(/Serving all steps/)
  const run = await installation.request()
  expect((await installation.ended(run)).returnvalue).toMatchObject({ outcome: 'success' })

  // A minute after the last worker was seen its claim is gone, and the spool may have moved.
  await first.kill('SIGTERM')
  second.kill('SIGTERM')
  await second.ended
  await queues.redis.del(`${prefix}:spool`)
  await using moved = startCommand(['worker'], other, elsewhere.path)
  await moved.line(/Serving all steps/)
})
