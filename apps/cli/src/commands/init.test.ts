import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { createDatabase, type TestDatabase } from '../../../../test/helpers/postgres.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { hasTerminals, startOnTerminal } from '../../../../test/helpers/terminal.ts'

let directory: TemporaryDirectory
let database: TestDatabase

beforeEach(async () => {
  ;[directory, database] = await Promise.all([temporaryDirectory(), createDatabase()])
})
afterEach(async () => {
  await database.drop()
  await directory.remove()
})

const onTerminal = hasTerminals ? describe : describe.skip
onTerminal('init in a terminal', () => {
  it('asks, asks again for a database that does not answer, and writes what was answered', async () => {
    await using terminal = startOnTerminal(['init'], {}, directory.path)
    const answer = async (question: RegExp, text: string) => {
      await terminal.shows(question)
      terminal.type(`${text}\r`)
    }
    await answer(/The database, for example/, 'mysql://nowhere')
    await answer(/The connection string[^]*The database, for example/, database.url)
    await answer(/Directory of the backups \[\.\/backups\]/, 'kept')
    await answer(/When, as a cron expression \[0 2 \* \* \*\]/, '@daily')
    await answer(/In which time zone/, 'Europe/Lisbon')
    await answer(/Encrypt them.*\[yes\]/, '')
    await answer(/Go on\? \[y\/N\]/, 'y')
    expect(await terminal.ended).toBe(0)
    expect(terminal.screen()).toContain('Keep a copy of it away')
    const file = readFileSync(directory.join('backup.config.yaml'), 'utf8')
    expect(file).toContain('  schedule: "@daily"\n  timeZone: Europe/Lisbon\n  encryption: aes-256-gcm\n')
    expect(readFileSync(directory.join('.env'), 'utf8')).toMatch(
      /^BACKUP_DIR=\S+kept\nBACKUP_ENCRYPTION_KEY=/,
    )
  })

  it('writes nothing if a question is not answered', async () => {
    await using terminal = startOnTerminal(['init'], {}, directory.path)
    await terminal.shows(/The database, for example/)
    terminal.type('\x04')
    expect(await terminal.ended).toBe(130)
    expect(readdirSync(directory.path)).toEqual([])
  })
})
