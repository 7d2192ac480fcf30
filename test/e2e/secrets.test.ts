import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from '@securyflex/shared/errors'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type Installation, startInstallation, testKey } from '../helpers/installation.ts'

/** Row text that compression would not hide: it stands alone in a row of its own, too. */
const planted = 'PLANTED-4dfe1c-patient-is-called-Annelies'
const role = `planted_${randomBytes(4).toString('hex')}`
const password = 'PLANTED-database-password-5512'
const webhookSecret = 'PLANTED-webhook-signing-9921'

let installation: Installation

beforeAll(async () => {
  installation = await startInstallation(async (database) => {
    await database.query(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD '${password}'`)
    return {
      DATABASE_URL: `postgresql://${role}:${password}@${database.host}:${String(database.port)}/${database.name}`,
      BACKUP_COMPRESSION: 'false',
      BACKUP_FINGERPRINT: 'checksums',
      BACKUP_WEBHOOK_URL: 'http://127.0.0.1:9/PLANTED-path-token-7781',
      BACKUP_WEBHOOK_SECRET: webhookSecret,
      BACKUP_LOG_LEVEL: 'debug',
    }
  })
  await installation.database.query(
    `CREATE TABLE patients AS SELECT n AS id, '${planted}' || n AS name FROM generate_series(1, 5000) AS n`,
  )
})

afterAll(async () => {
  await installation.database.query(`DROP ROLE ${role}`)
  await installation[Symbol.asyncDispose]()
})

const secrets = () => [planted, testKey, webhookSecret, 'PLANTED-path-token', password]

describe('with encryption on, planted row text and secrets', () => {
  it.each(['dump:batch', 'compress:begun', 'encrypt:begun', 'upload:begun', 'seal:begun', 'notify:begun'])(
    'are found nowhere while a worker stands at %s, nor after it is killed there',
    async (place) => {
      await using worker = await installation.startWorker(place)
      const run = await installation.request()
      await worker.held
      expect(await findings()).toEqual([])
      await worker.kill('SIGKILL')
      expect(await findings()).toEqual([])
      await using second = await installation.startWorker()
      const job = await installation.ended(run)
      expect(job.returnvalue).toMatchObject({ outcome: 'success' })
      expect(await findings()).toEqual([])
      await second.kill('SIGTERM')
    },
  )

  it('are searched for in a way that finds them', async () => {
    await installation.queues.redis.set('canary', `before ${planted} after`)
    expect(await findings()).not.toEqual([])
    await installation.queues.redis.del('canary')
    expect(await findings()).toEqual([])
  })
})

/** Where any secret is found: files of the installation, all of Redis, and the arguments of all processes. */
async function findings(): Promise<string[]> {
  return [...(await inFiles()), ...(await inRedis()), ...inArguments()]
}

async function inFiles(): Promise<string[]> {
  const { directory } = installation.config
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const found: string[] = []
  for (const entry of entries.filter((candidate) => candidate.isFile())) {
    const path = join(entry.parentPath, entry.name)
    const bytes = await readFile(path).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error
      return Buffer.alloc(0)
    })
    found.push(...matches(bytes).map((secret) => `${secret} in ${path}`))
  }
  return found
}

async function inRedis(): Promise<string[]> {
  const { redis } = installation.queues
  const found: string[] = []
  for (const key of await redis.keys('*')) {
    const bytes = ((await redis.dumpBuffer(key)) as Buffer | null) ?? Buffer.alloc(0)
    found.push(...matches(Buffer.concat([Buffer.from(key), bytes])).map((secret) => `${secret} in ${key}`))
  }
  return found
}

function inArguments(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return matches(readFileSync(`/proc/${pid}/cmdline`)).map(
          (secret) => `${secret} in the arguments of ${pid}`,
        )
      } catch (error) {
        if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
        throw error
      }
    })
}

function matches(bytes: Buffer): string[] {
  return secrets().filter((secret) => bytes.includes(secret))
}
