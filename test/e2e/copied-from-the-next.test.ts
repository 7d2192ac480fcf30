import { existsSync } from 'node:fs'
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { command } from '../helpers/round-trip.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

jest.setTimeout(180_000)

describe('a backup that one destination missed, and another one has damaged', () => {
  let directory: TemporaryDirectory
  let installation: Installation

  beforeAll(async () => {
    directory = await temporaryDirectory()
    const destinations = ['a', 'b', 'c'].map(
      (name) => `  ${name}: { kind: local, directory: ${directory.join(name)} }`,
    )
    await writeFile(directory.join('backup.yaml'), ['destinations:', ...destinations, ''].join('\n'))
    installation = await startInstallation({ BACKUP_CONFIG: directory.join('backup.yaml') })
  })
  afterAll(async () => {
    await installation[Symbol.asyncDispose]()
    await directory.remove()
  })

  async function backUp(): Promise<{ run: string; outcome: string | undefined }> {
    const run = await installation.request()
    await installation.ended(run)
    return { run, outcome: (await installation.report(run))?.outcome }
  }

  const segments = async (place: string): Promise<string[]> => {
    const below = directory.join(place, installation.source, 'segments')
    const names = await readdir(below, { recursive: true })
    const paths = names.map((name) => join(below, name))
    const kinds = await Promise.all(paths.map(async (path) => (await stat(path)).isFile()))
    return paths.filter((_, at) => kinds[at])
  }

  it('comes from the next destination that has it whole', async () => {
    await installation.database.query(
      'CREATE TABLE notes AS SELECT n, md5(n::text) AS t FROM generate_series(1, 9000) AS n',
    )
    await using worker = await installation.startWorker()
    expect((await backUp()).outcome).toBe('success')
    const before = new Set(await segments('a'))
    await rename(directory.join('b'), directory.join('away'))
    await writeFile(directory.join('b'), '')
    await installation.database.query('UPDATE notes SET t = md5(t)')
    const missed = await backUp()
    expect(missed.outcome).toBe('degraded')
    await rm(directory.join('b'))
    await rename(directory.join('away'), directory.join('b'))
    for (const path of await segments('a')) {
      if (before.has(path)) continue
      const bytes = await readFile(path)
      bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1
      await writeFile(path, bytes)
    }
    await backUp()
    const manifest = directory.join('b', installation.source, 'backups', `${missed.run}.json`)
    await until(
      async () => existsSync(manifest) && (await installation.queues.get('copy').getActiveCount()) === 0,
    )
    const { stdout } = await command(installation, 'verify', missed.run, '--destination', 'b', '--full')
    expect(stdout).toContain('is good')
    // Who asks for it there is told that it is not.
    await expect(
      command(installation, 'verify', missed.run, '--destination', 'a', '--full'),
    ).rejects.toMatchObject({ code: 7 })
    await worker.kill('SIGTERM')
  })
})

async function until(is: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await is())) {
    if (Date.now() > deadline) throw new Error('it did not come')
    await wait(50)
  }
}
