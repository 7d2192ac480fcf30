import { expect, it } from '@jest/globals'
import { existsSync, readdirSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { startCommand } from '../../../../test/helpers/command.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { createDatabase } from '../../../../test/helpers/postgres.ts'

/** The demo's own limit after set-up, in ms, and what a busy machine may add. */
const limit = 180_000

/** A temporary directory for the demo. PostgreSQL, which refuses root, runs as another user there and must get through. */
async function place(): Promise<TemporaryDirectory> {
  const directory = await temporaryDirectory()
  await chmod(directory.path, 0o711)
  return directory
}

it(
  'shows all of it, in fewer than 60 lines, and leaves nothing',
  async () => {
    await using directory = await place()
    await using demo = startCommand(['demo'], { TMPDIR: directory.path })
    expect({ status: await demo.ended, output: demo.lines.join('\n') }).toMatchObject({
      status: 0,
      output: expect.stringMatching(/All of it held/),
    })
    expect(demo.lines.length).toBeLessThan(60)
    expect(demo.lines.join('\n')).not.toContain('✘')
    expect(readdirSync(directory.path)).toEqual([])
    expect(existsSync('backups')).toBe(false)
  },
  limit,
)

it(
  'changes nothing in a database of one’s own',
  async () => {
    await using directory = await place()
    await using database = await createDatabase()
    await database.query(
      `CREATE TABLE customer AS SELECT n AS id, repeat(md5(n::text), 20) AS name FROM generate_series(1, 60000) n`,
    )
    const databases = async () =>
      (await database.query(`SELECT FROM pg_database WHERE datname LIKE 'securyflex_demo%'`)).rowCount
    const before = await databases()
    await using demo = startCommand(['demo'], { TMPDIR: directory.path, DATABASE_URL: database.url })
    expect({ status: await demo.ended, output: demo.lines.join('\n') }).toMatchObject({ status: 0 })
    expect(demo.lines.join('\n')).toMatch(/scratch database on that server/)
    expect(await databases()).toBe(before)
    expect(readdirSync(directory.path).filter((name) => name !== 'node-compile-cache')).toEqual([])
  },
  limit,
)

it(
  'ends in order when it is interrupted',
  async () => {
    await using directory = await place()
    await using demo = startCommand(['demo'], { TMPDIR: directory.path })
    await demo.line(/^1\. A backup/)
    demo.kill('SIGINT')
    expect(await demo.ended).toBe(130)
    expect(readdirSync(directory.path)).toEqual([])
  },
  limit,
)
