import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { existsSync, readdirSync } from 'node:fs'
import { parseConnection } from '@securyflex/shared/config'
import { openConnection } from '@securyflex/shared/postgres'
import { startCommand } from '../../../../test/helpers/command.ts'
import { createDatabase, type TestDatabase } from '../../../../test/helpers/postgres.ts'
import { startRedis } from '../../../../test/helpers/redis.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'

let database: TestDatabase
let directory: TemporaryDirectory

beforeAll(async () => {
  database = await createDatabase()
  await database.query(
    `CREATE TABLE customer AS SELECT n AS id, md5(n::text) AS name FROM generate_series(1, 20000) n`,
  )
})

afterAll(async () => {
  await database.drop()
})

beforeEach(async () => {
  directory = await temporaryDirectory()
})

afterEach(async () => {
  await directory.remove()
})

const settings = (more: Record<string, string> = {}) => ({
  BACKUP_DIR: directory.join('backups'),
  DATABASE_URL: database.url,
  BACKUP_SOURCE: 'shop',
  ...more,
})

async function backup(args: readonly string[] = [], more: Record<string, string> = {}) {
  await using command = startCommand(['backup', ...args], settings(more))
  const status = await command.ended
  return { status, output: command.lines.join('\n') }
}

describe('one backup with nothing running', () => {
  it('brings Redis and a worker, says so, and leaves neither', async () => {
    const { status, output } = await backup()
    expect(output).toMatch(/No service is running: Redis and a worker are started/)
    expect(output).toMatch(/Backed up and verified in .*: shop\.\d{8}T\d{6}Z\.[0-9a-f]{4}/)
    expect(output).toMatch(/local: verified, .* stored for .* read/)
    expect(output).toMatch(/Next: npm run backup:restore -- shop\.\S+ --to/)
    expect(status).toBe(0)
    expect(existsSync(directory.join('backups', 'service.json'))).toBe(false)
    expect(readdirSync(directory.join('backups', 'repository', 'shop', 'backups'))).toHaveLength(1)
  })

  it('prints one document with --json', async () => {
    await using command = startCommand(['backup', '--json'], settings())
    await command.ended
    const text = command.lines.join('\n')
    expect(JSON.parse(text.slice(text.indexOf('{')))).toMatchObject({
      outcome: 'success',
      source: 'shop',
      accepted: true,
      destinations: [{ name: 'local', outcome: 'verified' }],
    })
  })

  it('ends with 8 and the reason when the run fails', async () => {
    const { status, output } = await backup([], { BACKUP_ENCRYPTION: 'true' })
    expect(output).toMatch(/Failed.*no backup of this run/)
    expect(output).toMatch(/key generate/)
    expect(status).toBe(8)
  })

  it('is cancelled by Ctrl-C, and leaves nothing running', async () => {
    const client = await openConnection(parseConnection(database.url, {}).connection, {
      applicationName: 'test',
    })
    // The dump waits for this lock, so that the run cannot be faster than the test.
    await client.query('BEGIN; LOCK TABLE customer IN ACCESS EXCLUSIVE MODE')
    await using command = startCommand(['backup'], settings())
    await command.line(/Backing up shop/)
    command.kill('SIGINT')
    await command.line(/The run is being cancelled/)
    await command.line(/Cancelled; nothing of it is a backup/)
    expect(await command.ended).toBe(130)
    await client.end()
    expect(existsSync(directory.join('backups', 'service.json'))).toBe(false)
    expect(existsSync(directory.join('backups', 'repository', 'shop', 'backups'))).toBe(false)
  })
})

describe('one backup where Redis answers', () => {
  it('brings a worker for the run if none serves', async () => {
    await using redis = await startRedis()
    const { status, output } = await backup([], { REDIS_URL: redis.url })
    expect(output).toMatch(/No worker serves the queues .* one is started for this one run/)
    expect(status).toBe(0)
  })

  it('uses the service that runs, and brings nothing', async () => {
    await using service = startCommand(['start'], settings({ DASHBOARD_PORT: '0' }))
    await service.line(/Serving all steps/)
    const { status, output } = await backup()
    expect(output).not.toMatch(/started for this one run/)
    expect(output).toMatch(/Backed up and verified/)
    expect(status).toBe(0)
    const other = await backup([], { DATABASE_URL: database.url.replace('127.0.0.1', 'localhost') })
    expect(other.output).toMatch(/The service that runs .* backs up another shop/)
    expect(other.status).toBe(2)
    service.kill('SIGTERM')
    expect(await service.ended).toBe(0)
  })
})
