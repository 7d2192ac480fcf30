import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { choose, type Installation } from './directories.ts'
import { findTools } from './tools.ts'

let directory = ''
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tools-'))
})
afterAll(() => rm(directory, { recursive: true }))

/** Programs that do nothing but answer (fakes). */
async function programs(name: string, script: string): Promise<string> {
  const bin = join(directory, name)
  await mkdir(bin)
  for (const program of ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql']) {
    await writeFile(join(bin, program), `#!/bin/sh\n${script}\n`)
    await chmod(join(bin, program), 0o755)
  }
  return bin
}

describe('findTools', () => {
  it('finds the tools of this machine', async () => {
    const tools = await findTools(12)
    expect(tools.major).toBeGreaterThanOrEqual(12)
    expect(tools.pg_dump).toBe(join(tools.directory, 'pg_dump'))
  })

  it('refuses older tools before anything starts, with the line that installs the right ones', async () => {
    const bin = await programs('old', 'echo "pg_dump (PostgreSQL) 14.2 (Debian 14.2-1)"')
    await expect(findTools(17, bin)).rejects.toMatchObject({
      code: 'TOOL_TOO_OLD',
      message: `PostgreSQL 17 needs client tools of version 17 or newer, and the newest in ${bin} is 14.2.`,
      hint: expect.stringMatching(/install postgresql(-client-|@)17 and correct BACKUP_PG_BIN_DIR\.$/),
    })
    await expect(findTools(13, bin)).resolves.toMatchObject({ major: 14, version: '14.2' })
  })

  it('says when there are none', async () => {
    await expect(findTools(15, '/nowhere')).rejects.toMatchObject({ code: 'TOOL_MISSING' })
  })

  it('says when they do not run', async () => {
    const bin = await programs('broken', 'echo "libpq.so.5: not found" >&2; exit 127')
    await expect(findTools(15, bin)).rejects.toMatchObject({
      code: 'TOOL_MISSING',
      message: expect.stringMatching(/do not run: .*libpq\.so\.5/s),
    })
  })
})

describe('choose', () => {
  const one = (version: string): Installation => ({
    directory: version,
    major: Number.parseInt(version),
    version,
  })
  const all = ['18.1', '15.2', '15.18', '17.0'].map(one)

  it('takes the own major, its newest minor, else the next newer, never an older one', () => {
    expect(choose(all, 15)?.version).toBe('15.18')
    expect(choose(all, 16)?.version).toBe('17.0')
    expect(choose(all, 19)).toBeUndefined()
  })
})
