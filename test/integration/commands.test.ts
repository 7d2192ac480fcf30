import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { cp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKey } from '@securyflex/shared/keys'
import { Worker } from 'bullmq'
import { makeBackup } from '../helpers/make-backup.ts'
import { createDatabase, type TestDatabase } from '../helpers/postgres.ts'
import { startRedis, type TestRedis } from '../helpers/redis.ts'
import { type Ran, runCommand } from '../helpers/run-command.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

const day = 24 * 60 * 60 * 1000
const key = generateKey()
let directory: TemporaryDirectory
let database: TestDatabase
let redis: TestRedis
let old: string
let recent: string
let settings: Record<string, string>

beforeAll(async () => {
  ;[directory, database, redis] = await Promise.all([temporaryDirectory(), createDatabase(), startRedis()])
  await database.query(
    'CREATE TABLE item AS SELECT n AS id, md5(n::text) AS name FROM generate_series(1, 500) n',
  )
  const repository = directory.join('backups', 'repository')
  old = await makeBackup({ url: database.url, repository, key, time: new Date(Date.now() - 40 * day) })
  recent = await makeBackup({ url: database.url, repository, key })
  settings = {
    DATABASE_URL: database.url,
    BACKUP_SOURCE: 'shop',
    BACKUP_DIR: directory.join('backups'),
    BACKUP_ENCRYPTION: 'true',
    BACKUP_ENCRYPTION_KEY: key,
    BACKUP_RETENTION_MINIMUM: '1',
  }
})

afterAll(async () => {
  await Promise.all([database.drop(), redis.stop(), directory.remove()])
})

function run(args: readonly string[], changes: Record<string, string> = {}): Promise<Ran> {
  return runCommand(args, { directory: directory.path, env: { ...settings, ...changes } })
}

async function json<Document = Record<string, never>>(
  args: readonly string[],
  changes: Record<string, string> = {},
): Promise<Document> {
  const { stdout, stderr, status } = await run([...args, '--json'], changes)
  expect({ status, stderr }).toMatchObject({ status: 0 })
  return JSON.parse(stdout) as Document
}

/** A copy of BACKUP_DIR, to be damaged. */
async function copy(name: string): Promise<string> {
  await cp(directory.join('backups'), directory.join(name), { recursive: true })
  return directory.join(name)
}

/** The files of all segments below a BACKUP_DIR. */
async function segmentsIn(backups: string): Promise<string[]> {
  const place = join(backups, 'repository', 'shop', 'segments')
  const names = await readdir(place, { recursive: true })
  return names.filter((name) => name.length > 64).map((name) => join(place, name))
}

describe('list', () => {
  it('shows the backups, newest first', async () => {
    const { backups } = await json(['list'])
    expect(backups).toMatchObject([
      { run: recent, state: 'readable', cipher: 'aes-256-gcm', destination: 'local', problem: null },
      { run: old, state: 'readable' },
    ])
  })

  it('shows a damaged one for what it is', async () => {
    const path = await copy('damaged')
    const manifest = join(path, 'repository', 'shop', 'backups', `${recent}.json`)
    await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('"source"', '"sauce"'))
    const { stdout } = await run(['list'], { BACKUP_DIR: path })
    expect(stdout).toMatch(new RegExp(`^${recent}.*damaged$`, 'm'))
    expect(stdout).toMatch(new RegExp(`^${old}.*readable$`, 'm'))
  })

  it('shows without a key that there are backups', async () => {
    const none = { BACKUP_ENCRYPTION: 'false', BACKUP_ENCRYPTION_KEY: '' }
    const { backups } = await json(['list'], none)
    expect(backups).toMatchObject([{ state: 'key missing' }, { state: 'key missing' }])
  })
})

describe('restore', () => {
  it('restores from the path of a manifest with nothing but the key and a server', async () => {
    const manifest = directory.join('backups', 'repository', 'shop', 'backups', `${old}.json`)
    const to = `${database.name}_copy`
    const { stdout, stderr, status } = await runCommand(
      ['restore', manifest, '--to', to, '--yes', '--target-url', database.url],
      { directory: directory.path, env: { BACKUP_ENCRYPTION_KEY: key } },
    )
    expect({ status, stderr }).toMatchObject({ status: 0 })
    expect(stdout).toContain('Compared with what was backed up: 1 table, 500 rows, checksums of 1 table')
    await database.query(`DROP DATABASE ${to}`)
  })

  it('passes over a damaged newest backup, and says so', async () => {
    const path = await copy('passed-over')
    await writeFile(join(path, 'repository', 'shop', 'backups', `${recent}.json`), 'nothing')
    const to = `${database.name}_older`
    const { stdout, stderr, status } = await run(['restore', 'latest', '--to', to, '--yes'], {
      BACKUP_DIR: path,
    })
    expect(stderr).toContain(`Passed over ${recent}, which is newer:`)
    expect(stdout).toContain(`Restored ${old} into "${to}"`)
    expect(status).toBe(0)
    await database.query(`DROP DATABASE ${to}`)
  })

  it('prints the roles as SQL', async () => {
    const { stdout, status } = await run(['restore', 'latest', '--globals'])
    expect(stdout).toContain('CREATE ROLE postgres;')
    expect(status).toBe(0)
  })
})

describe('verify', () => {
  it('finds a good backup good', async () => {
    expect(await json(['verify', 'latest', '--full'])).toMatchObject({
      results: [{ run: recent, destination: 'local', authenticated: true, problem: null }],
    })
  })

  it('names what is bad, with exit status 7', async () => {
    const path = await copy('bad')
    await rename(join(path, 'repository', 'shop', 'segments'), join(path, 'away'))
    const { stderr, status } = await run(['verify', recent], { BACKUP_DIR: path })
    expect(stderr).toMatch(/Segment \S+ is missing/)
    expect(status).toBe(7)
  })
})

describe('scrub', () => {
  it('reads back what there is, names what is bad and touches, and ends with 7; a dry run changes nothing', async () => {
    const path = { BACKUP_DIR: await copy('scrubbed') }
    const whole = await run(['scrub', '--share', 'all'], path)
    expect(whole.stdout).toMatch(
      /^shop at local: 256 shards of 256, \d+ segments \(\S+ \S+\) read back, all are good\.$/m,
    )
    expect(whole.status).toBe(0)
    const [first] = await segmentsIn(path.BACKUP_DIR)
    await rm(first ?? '')
    const dry = await run(['scrub', 'shop', '--share', 'all', '--dry-run'], path)
    expect(dry.status).toBe(7)
    expect(await json<object>(['list'], path)).toMatchObject({ backups: [{ incomplete: false }, {}] })
    const bad = await run(['scrub', 'shop', '--share', 'all'], path)
    expect(bad.status).toBe(7)
    expect(bad.stdout).toMatch(/missing +shop\..*no other destination has it/)
    expect(bad.stderr).toMatch(
      /incomplete at local: shop\..*\n.*npm run backup\nthen: .* scrub shop --destination local/,
    )
    const { backups } = await json<{ backups: { incomplete: boolean }[] }>(['list'], path)
    expect(backups.some(({ incomplete }) => incomplete)).toBe(true)
    expect(await run(['scrub', '--destination', 'mars'], path)).toMatchObject({ status: 2 })
    expect(await run(['scrub', 'nosuch'], path)).toMatchObject({ status: 3 })
  })
})

/** Copies of the backups at two destinations. */
async function twoPlaces(name: string) {
  const [local, far] = [join(await copy(`${name}-local`), 'repository'), join(await copy(name), 'repository')]
  const config = directory.join(`${name}.yaml`)
  const places = { local, far }
  const lines = Object.entries(places).map(([at, path]) => `  ${at}: { kind: local, directory: ${path} }\n`)
  await writeFile(config, `destinations:\n${lines.join('')}`)
  return { far, env: { BACKUP_CONFIG: config, BACKUP_DIR: directory.join(name) } }
}

describe('a destination whose key record or repository.json is damaged', () => {
  /** `local` as it is, and `far`, a copy of it. */
  const rows = (stdout: string, what: string) => stdout.match(new RegExp(what, 'gm'))?.length

  it('keeps nobody from the others, and is told with what mends it; a scrub mends the record', async () => {
    const { far, env } = await twoPlaces('spoilt-record')
    const [name = ''] = await readdir(join(far, 'keys'))
    await truncate(join(far, 'keys', name), 100)
    const told = `keys/${name} at far (${far}) is damaged: it cannot be read.\nMend it with: npx --no securyflex-backup scrub --destination far `
    const list = await run(['list'], env)
    expect(rows(list.stdout, '^shop.* local +readable$')).toBe(2)
    expect(rows(list.stdout, '^shop.* far +readable$')).toBe(2)
    expect(list.stderr).toContain(told)
    expect(list.status).toBe(7)
    const asJson = await run(['list', '--json'], env)
    const { backups } = JSON.parse(asJson.stdout) as {
      backups: { destination: string; incomplete: unknown }[]
    }
    const incomplete = (at: string) =>
      backups.filter(({ destination }) => destination === at).map((one) => one.incomplete)
    expect([incomplete('local'), incomplete('far')]).toEqual([
      [false, false],
      [null, null],
    ])
    const dry = await run(['prune', '--dry-run'], env)
    expect(dry.stderr).toContain(told)
    expect(dry.status).toBe(7)
    const prune = await run(['prune', '--yes'], env)
    expect(prune.stdout).toMatch(/^Removed 1 backup /m)
    expect(prune).toMatchObject({ status: 7, stderr: expect.stringContaining(told) as unknown })
    const scrub = await run(['scrub', '--share', 'all'], env)
    expect(scrub.stdout).toContain(`keys/${name} at far was damaged, and is healed.\n`)
    expect(scrub).toMatchObject({ status: 0 })
    expect(await run(['list'], env)).toMatchObject({ status: 0, stderr: '' })
  })

  it('keeps nobody from the others without a repository.json either; moved away, it is nothing any more', async () => {
    const { far, env } = await twoPlaces('spoilt-repository')
    await writeFile(join(far, 'repository.json'), '{"format":1,')
    const told = `repository.json at far (${far}) is damaged: it cannot be read.\nMove that one file out of there; the next run writes it again.\n`
    const list = await run(['list'], env)
    expect(rows(list.stdout, '^shop.* (?:local|far) +readable$')).toBe(4)
    expect(list).toMatchObject({ status: 7, stderr: told })
    const prune = await run(['prune', '--dry-run'], env)
    expect(rows(prune.stdout, '^shop.* local ')).toBe(2)
    expect(prune).toMatchObject({ status: 7, stderr: expect.stringContaining(told) as unknown })
    const scrub = await run(['scrub', '--share', 'all'], env)
    expect(scrub.stdout).toMatch(/^shop at local: 256 shards of 256, .*, all are good\.$/m)
    expect(scrub).toMatchObject({ status: 7, stderr: expect.stringContaining(told) as unknown })
    await rename(join(far, 'repository.json'), directory.join('moved-away.json'))
    expect(await run(['list'], env)).toMatchObject({ status: 0, stderr: '' })
  })
})

describe('prune', () => {
  it('shows its plan without touching anything, asks, and does it with --yes', async () => {
    const path = { BACKUP_DIR: await copy('pruned') }
    const { stdout } = await run(['prune', '--dry-run'], path)
    expect(stdout).toMatch(
      new RegExp(`^${recent} +local +stays +younger than 30 days; the newest good one$`, 'm'),
    )
    expect(stdout).toMatch(
      new RegExp(`^${old} +local +goes +\\d\\S* \\w+ +40 days old, and no rule keeps it$`, 'm'),
    )
    const unasked = await run(['prune', '--destination', 'local'], path)
    expect(unasked.stderr).toContain('npx --no securyflex-backup prune --destination local --yes')
    expect(unasked.status).toBe(2)
    expect((await run(['prune', '--destination', 'nas', '--dry-run'], path)).stderr).toContain(
      'one of: local',
    )
    expect(await json(['prune', '--yes'], path)).toMatchObject({ removed: true, backups: 1 })
    expect(await json(['list'], path)).toMatchObject({ backups: [{ run: recent }] })
  })

  it('goes by the rules that are set', async () => {
    const dry = ['prune', '--dry-run']
    expect(await json(dry, { BACKUP_RETENTION_MONTHLY: '2' })).toMatchObject({
      removed: false,
      plans: [
        { source: 'shop', destination: 'local', refused: null, decisions: [{ keep: true }, { keep: true }] },
      ],
    })
    const { plans } = await json(dry, { BACKUP_RETENTION_DAILY: '1' })
    expect(plans).toMatchObject([
      {
        decisions: [
          { run: recent, keep: true, bytes: null },
          { run: old, keep: false, bytes: expect.any(Number) },
        ],
      },
    ])
  })
})

describe('key', () => {
  it('generates one that is accepted and that check finds to open nothing here', async () => {
    const { stdout } = await run(['key', 'generate'])
    expect(stdout).toMatch(/^[0-9a-f]{64}\n$/)
    const { stderr, status } = await run(['key', 'check'], { BACKUP_ENCRYPTION_KEY: stdout.trim() })
    expect(stderr).toMatch(/^No configured key opens the key record [0-9a-f]{32} of local/)
    expect(status).toBe(7)
  })

  it('tells which key opens what', async () => {
    const { stdout } = await run(['key', 'check'], {
      BACKUP_ENCRYPTION_KEY: generateKey(),
      BACKUP_ENCRYPTION_KEY_PREVIOUS: key,
    })
    expect(stdout).toMatch(/BACKUP_ENCRYPTION_KEY_PREVIOUS$/m)
  })
})

describe('with Redis and no worker', () => {
  it('enqueue-job prints the run, and the same one while it waits; status shows it, cancel takes it', async () => {
    const service = { REDIS_URL: redis.url }
    const first = await run(['enqueue-job', 'shop'], service)
    const id = first.stdout.trim()
    expect(first.stdout).toMatch(/^shop\.\d{8}T\d{6}Z\.[0-9a-f]{4}\n$/)
    expect(first.stderr).toContain('No worker serves')
    const second = await run(['schedule', 'backup'], service)
    expect(second.stdout.trim()).toBe(id)
    expect(second.stderr).toContain('A run of shop is under way')
    const status = await json(['status'], service)
    expect(status).toMatchObject({ underWay: [{ run: id, state: 'waiting' }], sources: [{ source: 'shop' }] })
    expect((await run(['cancel', id], service)).stdout).toBe(`${id} is being cancelled.\n`)
    expect((await run(['cancel', 'shop.20200101T000000Z.0000'], service)).status).toBe(3)
  })

  it('pause refuses requests until resume, both are written down, and only a failed run is retried', async () => {
    const service = { REDIS_URL: redis.url }
    expect((await run(['pause', 'shop'], service)).stdout).toBe('Backups of shop are paused.\n')
    const refused = await run(['enqueue-job', 'shop'], service)
    expect(refused.stderr).toContain('npx --no securyflex-backup resume shop')
    expect(refused.status).toBe(12)
    expect((await run(['status'], service)).stdout).toMatch(/^Paused: shop, by command line/m)
    expect((await run(['pause', 'nosuch'], service)).status).toBe(3)
    expect((await run(['resume', 'shop'], service)).stdout).toBe('Backups of shop are made again.\n')
    expect(await json(['status'], service)).toMatchObject({
      paused: [],
      actions: [{ what: 'resume', subject: 'shop' }, { what: 'pause' }, { what: 'cancel' }],
    })
    expect((await run(['retry', 'shop.20200101T000000Z.0000'], service)).status).toBe(3)
  })

  it('pause and resume everything, and retry what has failed, by whom is written down', async () => {
    const service = { REDIS_URL: redis.url }
    expect((await run(['pause'], service)).status).toBe(0)
    expect((await run(['enqueue-job', 'shop'], service)).status).toBe(12)
    expect((await run(['resume'], service)).status).toBe(0)
    const id = (await run(['enqueue-job', 'shop'], service)).stdout.trim()
    const worker = new Worker('run', () => Promise.reject(new Error('no')), {
      prefix: 'securyflex',
      connection: { host: redis.host, port: redis.port, maxRetriesPerRequest: null },
    })
    await new Promise((resolve) => worker.once('failed', resolve))
    await worker.close()
    expect((await run(['retry', id], service)).status).toBe(0)
    const by = expect.stringMatching(/^command line \(/)
    expect(await json(['status'], service)).toMatchObject({
      underWay: [{ run: id, state: 'waiting' }],
      actions: [
        { by, what: 'retry', subject: id },
        { by, what: 'resume', subject: 'everything' },
        { by, what: 'pause', subject: 'everything' },
        { what: 'resume', subject: 'shop' },
        { what: 'pause', subject: 'shop' },
      ],
    })
  })

  it('status shows the schedule in its zone and in UTC', async () => {
    const { stdout, status } = await run(['status'], { BACKUP_CRON: '30 4 * * *' })
    expect(stdout).toMatch(/ 04:30:00 Europe\/Amsterdam \(\S+ 0[23]:30:00 UTC\)/)
    expect(status).toBe(0)
  })
})

describe('keep', () => {
  it('keeps a backup from prune until it is released, shows it in the list, and says who did it', async () => {
    const path = { BACKUP_DIR: await copy('kept'), REDIS_URL: redis.url }
    expect((await run(['keep', old, '--reason', 'before the move'], path)).stdout).toBe(
      `${old} at local is kept until it is released.\n`,
    )
    expect((await run(['keep', old], path)).stdout).toBe(`${old} at local was kept already.\n`)
    const dry = await run(['prune', '--dry-run'], path)
    expect(dry.stdout).toMatch(
      new RegExp(`^${old} +local +stays +kept by command line .*: before the move$`, 'm'),
    )
    expect((await run(['list'], path)).stdout).toMatch(new RegExp(`^${old}.*readable, kept$`, 'm'))
    const kept = { by: expect.stringMatching(/^command line/), reason: 'before the move' }
    expect(await json(['list'], path)).toMatchObject({ backups: [{ kept: null }, { run: old, kept }] })
    expect(await json(['prune', '--yes'], path)).toMatchObject({ backups: 0 })
    expect(await json(['keep', old, '--release'], path)).toEqual({
      results: [{ run: old, destination: 'local', kept: false, changed: true }],
    })
    expect(await json(['prune', '--yes'], path)).toMatchObject({ backups: 1 })
    const { actions } = await json<{ actions: object[] }>(['status'], path)
    expect(actions.slice(0, 3)).toMatchObject([
      { what: 'prune', subject: 'shop' },
      { what: 'release', subject: old },
      { what: 'keep', subject: old, detail: 'at local: before the move' },
    ])
    expect((await run(['keep', old], path)).status).toBe(3)
  })

  it('keeps it where it can, and says where it could not', async () => {
    const { far, env } = await twoPlaces('kept-at-one')
    await rename(far, directory.join('kept-at-one-away'))
    await writeFile(far, '')
    const kept = await run(['keep', old], env)
    expect(kept.stdout).toBe(`${old} at local is kept until it is released.\n`)
    expect(kept.stderr).toContain('It was not said at far, which does not answer.\nSay it again when it does')
    expect(kept.status).toBe(6)
    expect((await run(['list', '--destination', 'local'], env)).stdout).toMatch(
      new RegExp(`^${old}.*readable, kept$`, 'm'),
    )
    const latest = await run(['keep', 'latest'], env)
    expect(latest.stderr).toContain('Which backup is the latest is not known: far does not answer.')
    expect(latest.status).toBe(6)
    const elsewhere = await run(['keep', 'alone.20200101T000000Z.0001'], env)
    expect(elsewhere.stderr).toContain('It was not said at far')
    expect(elsewhere.status).toBe(6)
  })
})

describe('adopt', () => {
  it('makes a repository ours that another installation wrote, which list and restore read before', async () => {
    const path = await copy('adopted')
    const ours = { BACKUP_DIR: path, BACKUP_INSTALLATION: 'amsterdam-2' }
    expect(await json(['list'], ours)).toMatchObject({ backups: [{ state: 'readable' }, { run: old }] })
    const refused = await run(['prune', '--yes'], ours)
    expect(refused.stderr).toContain('belongs to another installation')
    expect(refused.stderr).toContain('npx --no securyflex-backup adopt')
    expect(refused.status).toBe(6)
    expect((await run(['adopt'], { BACKUP_DIR: path })).status).toBe(2)
    const unasked = await run(['adopt'], ours)
    expect(unasked.stdout).toMatch(/^The repository at local \(.*\) belongs to [0-9a-f]{32}; /)
    expect(unasked.status).toBe(2)
    expect(await json(['adopt', '--yes'], ours)).toMatchObject({
      adopted: [{ destination: 'local', installation: 'amsterdam-2' }],
    })
    expect(await json(['adopt', '--yes'], ours)).toEqual({ adopted: [] })
    expect(await json(['prune', '--yes'], ours)).toMatchObject({ removed: true, backups: 1 })
    expect((await run(['prune', '--yes'], { BACKUP_DIR: path })).status).toBe(6)
    expect((await run(['prune', '--yes'], { ...ours, BACKUP_INSTALLATION: 'elsewhere' })).status).toBe(6)
  })
})

it('health shows that there was no run yet', async () => {
  const { stderr, status } = await run(['health'])
  expect(stderr).toContain('shop: no run yet.')
  expect(status).toBe(0)
})
