import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { allRows } from './rows.ts'
import { canRestrict, runScriptInNewDatabase, type ScriptOptions } from './script.ts'
import { rejection, testServer } from './test-server.ts'
import { findTools } from './tools.ts'

const server = testServer({ beforeAll, afterAll })
let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 't-'))
})
afterAll(() => rm(directory, { recursive: true }))

let made = 0

async function run(script: string | (() => AsyncGenerator<Buffer>), options: ScriptOptions = {}) {
  const name = `script_${String((made += 1))}`
  const tools = await findTools(server.server.major)
  async function* read() {
    yield await Promise.resolve(Buffer.from(String(script)))
  }
  const source = typeof script === 'string' ? read : script
  const oneTransaction = await runScriptInNewDatabase(
    tools,
    server.connection(),
    name,
    {},
    source,
    undefined,
    options,
  )
  return { name, oneTransaction }
}

async function databases(): Promise<string[]> {
  const rows = await allRows<{ name: string }>(
    await server.open(),
    'SELECT datname AS name FROM pg_database ORDER BY 1',
  )
  return rows.map(({ name }) => name)
}

async function rowsOf(database: string, sql: string): Promise<readonly unknown[]> {
  return allRows(await server.open(server.connection(database)), sql)
}

describe('a script', () => {
  it('runs in one transaction', async () => {
    const { name, oneTransaction } = await run(
      "CREATE TABLE t (a text, tx xid8 DEFAULT pg_current_xact_id());\nCOPY t (a) FROM stdin;\nx\\\\y\n\\.\nINSERT INTO t VALUES ('z');\n",
    )
    expect(oneTransaction).toBe(true)
    expect(await rowsOf(name, 'SELECT a, tx = min(tx) OVER () AS same FROM t ORDER BY 1')).toEqual([
      { a: 'x\\y', same: true },
      { a: 'z', same: true },
    ])
  })

  it('runs without where it holds what cannot be in one', async () => {
    const { name, oneTransaction } = await run('CREATE TABLE t AS SELECT 1 AS a;\nVACUUM t;\n')
    expect(oneTransaction).toBe(false)
    expect(await rowsOf(name, 'SELECT a FROM t')).toEqual([{ a: 1 }])
  })

  it.each([
    ['its first error', 'CREATE TABLE t (a int);\nSELECT 1/0;\nSELECT 2;\n', /division by zero/],
    ['a database that it wants to create', 'CREATE DATABASE stray;\n', /CREATE DATABASE cannot run/],
    ['another error after it ran again', 'VACUUM;\nSELECT 1/0;\n', /division by zero/],
  ])('stops at %s and leaves nothing', async (_title, script, says) => {
    const before = await databases()
    expect(await rejection(run(script))).toMatchObject({
      code: 'RESTORE_FAILED',
      message: expect.stringMatching(says),
    })
    expect(await databases()).toEqual(before)
  })

  it('leaves nothing when its source fails half-way, and throws that error', async () => {
    const before = await databases()
    async function* failing() {
      yield await Promise.resolve(Buffer.from('CREATE TABLE t (a int);\n'.padEnd(200_000)))
      throw new Error('the disk is gone')
    }
    expect(await rejection(run(failing))).toMatchObject({ message: 'the disk is gone' })
    expect(await databases()).toEqual(before)
  })
})

describe('a hostile script', () => {
  const touch = () => join(directory, `touched_${String(made)}`)

  it.each([
    ['outright', () => `\\! touch ${touch()}\n`],
    ['behind a statement', () => `SELECT 1 \\! touch ${touch()}\n`],
    ['after pretending to be restricted', () => `\\restrict a\n\\unrestrict a\n\\! touch ${touch()}\n`],
    ['through \\copy', () => `CREATE TABLE t (a text);\n\\copy t from program 'touch ${touch()}'\n`],
    ['through \\i', () => `\\i /etc/passwd\n`],
    ['through \\set', () => `\\set ON_ERROR_STOP 0\n\\! touch ${touch()}\n`],
    ['through backticks', () => `\\echo \`touch ${touch()}\`\n`],
  ])('starts no program %s', async (_title, script) => {
    const path = touch()
    const error = await rejection(run(script()))
    expect(error).toMatchObject({
      code: 'RESTORE_FAILED',
      message: expect.stringMatching(/backslash command/),
    })
    expect(existsSync(path)).toBe(false)
  })

  it('is run all the same when that is insisted on', async () => {
    const path = touch()
    await run(`\\! touch ${path}\nSELECT 1;\n`, { allowCommands: true })
    expect(existsSync(path)).toBe(true)
  })

  it.each([
    ['15.13', false],
    ['15.14', true],
    ['13.22', true],
    ['12.22', false],
    ['17.5', false],
    ['18.0', true],
    ['19beta1', true],
  ])('psql %s can be restricted: %s', (version, can) => {
    expect(canRestrict(version)).toBe(can)
  })
})
