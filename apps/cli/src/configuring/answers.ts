import { loadConfig, parseConnection } from '@securyflex/shared/config'
import { BackupError, describe } from '@securyflex/shared/errors'
import { ask } from '../output/confirm.ts'
import { typed } from '../output/examples.ts'
import { note } from '../output/print.ts'
import { tryDatabase } from './try-database.ts'

/** What `init` is to know. */
export interface Answers {
  readonly url: string
  readonly name?: string
  readonly directory: string
  readonly schedule: string
  readonly timeZone: string
  /** Whether backups stay unencrypted. */
  readonly plain?: boolean
}

const usual = {
  directory: './backups',
  schedule: '0 2 * * *',
  timeZone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
}

/**
 * Completes what was given: by the terminal, or with `yes` by what is usual.
 * @throws USAGE if the database is not given and nobody can be asked; CANCELLED if nobody answers
 */
export async function askAnswers(given: Partial<Answers>, yes: boolean): Promise<Answers> {
  if (yes || !process.stdin.isTTY) {
    const { url } = given
    if (url === undefined || !yes) throw nobodyToAsk(yes)
    return { ...usual, ...given, url }
  }
  const url = given.url ?? (await askDatabase())
  const directory = given.directory ?? (await question('Directory of the backups', usual.directory))
  const schedule = given.schedule ?? (await question('When, as a cron expression', usual.schedule))
  const timeZone = given.timeZone ?? (await question('In which time zone', usual.timeZone))
  const encrypt =
    given.plain === true ? 'no' : await question('Encrypt them, with a key that is made now', 'yes')
  return { ...given, url, directory, schedule, timeZone, plain: !/^y/i.test(encrypt) }
}

/** Whether the environment has a key already. */
export function keyIsSet(): boolean {
  return loadConfig({ needs: [], texts: { file: '', dotenv: '' } }).keys.current !== undefined
}

/** Asks until a database answers. */
async function askDatabase(): Promise<string> {
  for (;;) {
    const url = await ask('The database, for example postgresql://backup:secret@localhost:5432/shop: ')
    if (url === '')
      throw new BackupError('CANCELLED', 'The question was not answered, so nothing was written.')
    try {
      await tryDatabase(parseConnection(url).connection, undefined)
      return url
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      note(describe(error))
    }
  }
}

async function question(text: string, otherwise: string): Promise<string> {
  return (await ask(`${text} [${otherwise}]: `)) || otherwise
}

function nobodyToAsk(yes: boolean): BackupError {
  const what = yes ? 'The database is not given.' : 'Nobody can be asked here, so nothing was written.'
  return new BackupError(yes ? 'USAGE' : 'CONFIRMATION_NEEDED', what, {
    hint: `Type for example: ${typed('init --url postgresql://backup@localhost:5432/shop --yes')}`,
  })
}
