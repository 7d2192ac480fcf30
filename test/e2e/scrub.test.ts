import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { KeyRing } from '@securyflex/shared/keys'
import { BackupReader, layout, readBackup } from '@securyflex/shared/repository'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { restoreLatest } from '../helpers/round-trip.ts'
import { type Ran, runCommand } from '../helpers/run-command.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

let directory: TemporaryDirectory
let installation: Installation
let alone: Record<string, string>

beforeAll(async () => {
  directory = await temporaryDirectory()
  const near = `near: { kind: local, directory: ${directory.join('near')} }`
  const far = `far: { kind: local, directory: ${directory.join('far')} }`
  const configured = async (name: string, ...destinations: string[]) => {
    const file = directory.join(`${name}.yaml`)
    await writeFile(file, `destinations:\n  ${destinations.join('\n  ')}\n`)
    return { BACKUP_CONFIG: file }
  }
  alone = await configured('alone', near)
  installation = await startInstallation({
    ...(await configured('both', near, far)),
    BACKUP_SCRUB_SHARE: 'all',
  })
  await installation.database.query(
    `CREATE TABLE orders AS SELECT n AS id, repeat(md5(n::text), 8) AS note FROM generate_series(1, 120000) AS n`,
  )
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
  await directory.remove()
})

/** The segments of a backup's archive but the first, which holds the time of the dump and never comes again. */
async function segmentsOf(run: string): Promise<string[]> {
  const { storage, source, config } = installation
  const reader = new BackupReader(storage, await readBackup(storage, source, run, new KeyRing(config.keys)))
  const stream = reader.stream('archive')
  if (stream === undefined) throw new Error('no archive')
  const names = await Array.fromAsync(reader.entries(stream), ({ id }) =>
    layout.segment(source, Buffer.from(id)),
  )
  return names.slice(1)
}

const at = (place: string, name: string | undefined) => join(directory.path, place, name ?? 'nowhere')

async function flip(path: string): Promise<void> {
  const bytes = await readFile(path)
  bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1
  await writeFile(path, bytes)
}

/** What the slot of a schedule does, and how its scrubs ended. */
async function slot(name: string) {
  const queue = installation.queues.get('scrub')
  const job = await installation.queues.add('scrub', name, { v: 1, source: installation.source })
  const ids = ['near', 'far'].map((place) => `${installation.source}.${place}.${String(job.timestamp)}`)
  for (const id of ids) {
    const deadline = Date.now() + 60_000
    const isOver = async () => ['completed', 'failed'].includes(await queue.getJobState(id))
    while (!(await isOver())) {
      if (Date.now() > deadline) throw new Error(`${id} is ${await queue.getJobState(id)}`)
      await wait(25)
    }
  }
  return Promise.all(ids.map((id) => queue.getJob(id)))
}

const scrubbed = (...args: string[]): Promise<Ran> =>
  runCommand(['scrub', ...args], { env: installation.env, directory: directory.path })

describe('a scrub of two destinations', () => {
  it('heals, by the clock, what one of them lost, from the other; then that one alone restores', async () => {
    await using worker = await installation.startWorker()
    const run = await installation.request()
    expect((await installation.ended(run)).returnvalue).toMatchObject({ outcome: 'success' })
    const [deleted, cut, altered] = await segmentsOf(run)
    await rm(at('near', deleted))
    await truncate(at('near', cut), 777)
    await flip(at('near', altered))

    const [near, far] = await slot('by-the-clock')
    expect(near?.returnvalue).toMatchObject({ missing: 1, truncated: 1, altered: 1, healed: 3, aside: 0 })
    expect(far?.returnvalue).toMatchObject({ missing: 0, truncated: 0, altered: 0, unknown: 0 })

    await rm(directory.join('far'), { recursive: true })
    const restored = await restoreLatest(
      { env: { ...installation.env, ...alone } },
      `${installation.database.name}_near`,
    )
    expect(restored.comparison?.differences).toEqual([])
    await installation.database.query(`DROP DATABASE "${installation.database.name}_near" WITH (FORCE)`)
    await worker.kill('SIGTERM')
  })

  it('names what both lost, which does not count as good there until the next run has stored it again', async () => {
    await using worker = await installation.startWorker()
    const run = await installation.request()
    expect((await installation.ended(run)).returnvalue).toMatchObject({ outcome: 'success' })
    const [name] = await segmentsOf(run)
    await flip(at('near', name))
    await rm(at('far', name))

    const [near, far] = await slot('both-damaged')
    expect(near?.failedReason).toMatch(
      new RegExp(`1 segment of shop at near could not be healed .*${run}.*\\[SEGMENT_TAMPERED\\]`, 's'),
    )
    expect(near?.attemptsMade).toBe(1)
    expect(far?.failedReason).toMatch(/\[SEGMENT_MISSING\]/)
    const again = await scrubbed('--share', '1/256')
    expect(again).toMatchObject({ status: 7 })
    expect(again.stdout).toMatch(/missing .*no other destination has it/)
    expect(again.stderr).toContain('npm run backup')
    const listed = await runCommand(['list'], { env: installation.env, directory: directory.path })
    expect(listed.stdout).toMatch(new RegExp(`${run}.* near .*incomplete`))

    expect((await installation.ended(await installation.request())).returnvalue).toMatchObject({
      outcome: 'success',
    })
    const last = await scrubbed('--json')
    expect(last).toMatchObject({ status: 0 })
    const { results } = JSON.parse(last.stdout) as { results: { findings: unknown[]; problem: unknown }[] }
    expect(results).toMatchObject([
      { findings: [], problem: null },
      { findings: [], problem: null },
    ])
    const to = `${installation.database.name}_mended`
    const restored = await restoreLatest(installation, to, run)
    expect(restored.comparison?.differences).toEqual([])
    await installation.database.query(`DROP DATABASE "${to}" WITH (FORCE)`)
    await worker.kill('SIGTERM')
  })
})
