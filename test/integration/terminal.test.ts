import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { makeBackup } from '../helpers/make-backup.ts'
import { createDatabase, type TestDatabase } from '../helpers/postgres.ts'
import { runCommand } from '../helpers/run-command.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'
import { hasTerminals, startOnTerminal } from '../helpers/terminal.ts'
import { testWhere } from '../helpers/test-where.ts'

const onTerminal = testWhere(hasTerminals, 'pseudo-terminals are made with the script of util-linux')
const [ctrlC, endOfInput] = ['\x03', '\x04']
const [hidden, shown] = ['\x1b[?25l', '\x1b[?25h']

let directory: TemporaryDirectory
let database: TestDatabase
let env: Record<string, string>
let to: string

beforeAll(async () => {
  ;[directory, database] = await Promise.all([temporaryDirectory(), createDatabase()])
  await database.query(
    'CREATE TABLE item AS SELECT n AS id, gen_random_uuid()::text AS name FROM generate_series(1, 60000) n',
  )
  await makeBackup({ url: database.url, repository: directory.join('backups', 'repository') })
  to = `${database.name}_restored`
  env = { DATABASE_URL: database.url, BACKUP_SOURCE: 'shop', BACKUP_DIR: directory.join('backups') }
})

afterAll(async () => {
  await database.drop()
  await directory.remove()
})

const restoring = (...more: string[]) => ['restore', 'latest', '--to', to, ...more]

async function restored(): Promise<boolean> {
  const { rowCount } = await database.query(`SELECT FROM pg_database WHERE datname = '${to}'`)
  return rowCount === 1
}

describe('the question before a restore', () => {
  for (const [what, keys] of [
    ['no', 'no\r'],
    ['the return key alone', '\r'],
    ['Ctrl-C', ctrlC],
    ['the end of the input', endOfInput],
  ] as const) {
    onTerminal(`is answered with ${what}: nothing is done, and the exit status is 130`, async () => {
      await using command = startOnTerminal(restoring(), env)
      await command.shows(/\[y\/N\]/)
      command.type(keys)
      expect(await command.ended).toBe(130)
      expect(command.screen()).toMatch(/\nThe question was not answered with yes, so nothing was done\.\r\n$/)
      expect(command.screen()).not.toMatch(/ at |Restoring/)
      expect(await restored()).toBe(false)
    })
  }

  onTerminal('is answered with yes: a bar is drawn, and is gone when it is done', async () => {
    await using command = startOnTerminal(restoring(), env)
    await command.shows(/\[y\/N\]/)
    command.type('yes\r')
    expect(await command.ended).toBe(0)
    const screen = command.screen()
    expect(screen).toMatch(/Restoring shop\.\S+ [=-]{40} \d+%/)
    expectClean(screen)
    // The line of the bar is erased before anything else is written to it.
    expect(screen).toMatch(/\x1b\[2KRestored shop\./)
    await database.query(`DROP DATABASE ${to}`)
  })
})

describe('a restore', () => {
  onTerminal('over several jobs draws its bar, too', async () => {
    await using command = startOnTerminal(restoring('--yes', '--jobs', '2'), env)
    expect(await command.ended).toBe(0)
    expect(command.screen()).toMatch(/Writing out shop\.\S+ [=-]{40} \d+%/)
    expectClean(command.screen())
    await database.query(`DROP DATABASE ${to}`)
  })

  onTerminal('that is interrupted takes its bar and its database back', async () => {
    await using command = startOnTerminal(restoring('--yes'), env)
    await command.shows(/Restoring shop\./)
    command.type(ctrlC)
    expect(await command.ended).toBe(130)
    expectClean(command.screen())
    expect(command.screen()).toContain('It was interrupted; what it had begun was taken back.')
    expect(await restored()).toBe(false)
  })

  it('draws nothing without a terminal: plain lines', async () => {
    const { stdout, stderr, status } = await runCommand(restoring('--yes'), {
      env,
      directory: directory.path,
      timeout: 60_000,
    })
    expect(status).toBe(0)
    expect(stdout + stderr).not.toContain('\x1b')
    expect(stderr).toMatch(/^Restoring shop\.\S+: \S+ \w+ of \S+ \w+$/m)
    await database.query(`DROP DATABASE ${to}`)
  })
})

/** The cursor is shown again after it was hidden. */
function expectClean(screen: string): void {
  expect(screen).toContain(hidden)
  expect(screen.lastIndexOf(shown)).toBeGreaterThan(screen.lastIndexOf(hidden))
}
