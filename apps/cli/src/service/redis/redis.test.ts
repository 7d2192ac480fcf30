import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { chmod, mkdir, rm, rmdir, stat, symlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { connectOrFail, redisTarget } from '@securyflex/shared/queue'
import {
  type TemporaryDirectory,
  temporaryDirectory,
} from '../../../../../test/helpers/temporary-directory.ts'
import { findRedisServer } from './find.ts'
import { embeddedAddress, startRedis } from './redis.ts'
import { socketDirectory } from './socket-directory.ts'

let directory: TemporaryDirectory
const home = () => ({
  directory: directory.path,
  logs: { directory: directory.join('logs'), level: 'info' as const },
})

beforeAll(async () => {
  directory = await temporaryDirectory()
})

afterAll(async () => {
  await directory.remove()
})

describe('the embedded Redis', () => {
  it('keeps what it holds from one start to the next, and drops nothing for want of memory', async () => {
    const first = await startRedis(home())
    const writing = await connectOrFail(first.address)
    await writing.set('key', 'value')
    expect(await writing.config('GET', 'maxmemory-policy')).toContain('noeviction')
    writing.disconnect()
    await first.stop()
    const second = await startRedis(home())
    const reading = await connectOrFail(second.address)
    expect(await reading.get('key')).toBe('value')
    reading.disconnect()
    await second.stop()
  })

  it('listens at a private socket only, which goes with it', async () => {
    const redis = await startRedis(home())
    const target = redisTarget(redis.address)
    const path = 'path' in target ? target.path : ''
    expect((await stat(path)).mode & 0o777).toBe(0o700)
    expect((await stat(dirname(path))).mode & 0o777).toBe(0o700)
    await redis.stop()
    await expect(stat(dirname(path))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('has a short socket path, the same each time, however long BACKUP_DIR is', async () => {
    const long = directory.join('a'.repeat(200))
    const address = await embeddedAddress({ directory: long })
    expect(await embeddedAddress({ directory: long })).toMatchObject({ shown: address.shown })
    expect(address.shown.length).toBeLessThan(104)
    await rmdir(await socketDirectory(long))
  })
})

describe('the directory of its socket', () => {
  it('is refused if others may enter it, or if it is a link', async () => {
    const backups = directory.join('other')
    await mkdir(backups)
    const path = await socketDirectory(backups)
    await chmod(path, 0o755)
    await expect(socketDirectory(backups)).rejects.toMatchObject({
      code: 'SETUP_NEEDED',
      message: expect.stringContaining('others may enter'),
    })
    await rmdir(path)
    await symlink(directory.path, path)
    await expect(socketDirectory(backups)).rejects.toMatchObject({
      code: 'SETUP_NEEDED',
      message: expect.stringContaining('no directory'),
    })
    await rm(path)
  })
})

it('names the line that installs redis-server where there is none', async () => {
  await expect(findRedisServer([directory.path])).rejects.toMatchObject({
    code: 'SETUP_NEEDED',
    hint: expect.stringMatching(/apt-get install|brew install/),
  })
})
