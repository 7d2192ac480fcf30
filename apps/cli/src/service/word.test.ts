import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { type TemporaryDirectory, temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { startRedis } from './redis/redis.ts'
import { claimService, findService, resolveRedis } from './word.ts'

let directory: TemporaryDirectory
const config = () => ({ directory: directory.path, sources: [], groups: [], redis: undefined })
const home = () => ({
  directory: directory.path,
  logs: { directory: directory.join('logs'), level: 'info' as const },
})

beforeEach(async () => {
  directory = await temporaryDirectory()
})

afterEach(async () => {
  await directory.remove()
})

async function claim() {
  const claimed = await claimService(config(), 'service', new Date())
  if ('holder' in claimed) throw new Error(`held by ${claimed.holder.pid}`)
  return claimed
}

describe('word of a service', () => {
  it('is found while its Redis answers, and gone when it is released', async () => {
    const claimed = await claim()
    const redis = await startRedis(home())
    expect(await findService(config())).toMatchObject({
      kind: 'service',
      pid: process.pid,
      redis: redis.address,
    })
    expect(await resolveRedis(config())).toEqual(redis.address)
    await redis.stop()
    await claimed.release()
    expect(await findService(config())).toBeUndefined()
  })

  it('is private, and holds pid, address and time', async () => {
    const claimed = await claim()
    const path = directory.join('service.json')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({
      pid: process.pid,
      started: expect.stringMatching(/Z$/),
      redis: expect.stringMatching(/^unix:\/\/\//),
    })
    await claimed.release()
  })

  it('counts for nothing once its Redis does not answer, and is replaced', async () => {
    await claim()
    expect(await findService(config())).toBeUndefined()
    const second = await claim()
    await second.release()
  })

  it('counts for nothing when it is none', async () => {
    await writeFile(directory.join('service.json'), '{"pid":')
    expect(await findService(config())).toBeUndefined()
    await (await claim()).release()
  })

  it('is held by one only', async () => {
    const claimed = await claim()
    const redis = await startRedis(home())
    expect(await claimService(config(), 'backup', new Date())).toMatchObject({
      holder: { kind: 'service', pid: process.pid },
    })
    await redis.stop()
    await claimed.release()
  })
})

it('says what to type where there is neither REDIS_URL nor a service', async () => {
  await expect(resolveRedis(config())).rejects.toMatchObject({
    code: 'REDIS_UNREACHABLE',
    hint: expect.stringContaining('npm start'),
  })
})
