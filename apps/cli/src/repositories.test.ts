import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { loadConfig } from '@securyflex/shared/config'
import { temporaryDirectory } from '../../../test/helpers/temporary-directory.ts'
import { openRepositories } from './repositories.ts'

it('keeps a command to the bandwidth of a destination, however often it opens that', async () => {
  await using directory = await temporaryDirectory()
  const slow = `{ kind: local, directory: ${directory.path}, bandwidth: 1MB }`
  await writeFile(join(directory.path, 'backup.config.yaml'), `destinations:\n  slow: ${slow}\n`)
  await writeFile(join(directory.path, 'object'), Buffer.alloc(500_000))
  const config = loadConfig({ env: {}, directory: directory.path })
  const began = performance.now()
  for (let number = 0; number < 4; number++) {
    for (const storage of openRepositories(config)) expect(await storage.get('object')).toHaveLength(500_000)
  }
  // A second is caught up with, and the last one waits for the three before it.
  expect(performance.now() - began).toBeGreaterThanOrEqual(450)
})
