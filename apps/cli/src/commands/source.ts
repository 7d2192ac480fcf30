import {
  type Addition,
  leavesOut,
  planSource,
  type Source,
  type SourceGroup,
} from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { listDatabases } from '@securyflex/shared/postgres'
import { nextTimes } from '@securyflex/shared/schedule'
import type { Command } from 'commander'
import { readLine } from '../configuring/read-line.ts'
import { save } from '../configuring/save.ts'
import { tellService } from '../configuring/tell-service.ts'
import { type TriedDatabase, tryDatabase } from '../configuring/try-database.ts'
import { aboutRole, tried } from '../configuring/words.ts'
import { examples } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { moment } from '../output/written.ts'

interface Options {
  readonly name?: string
  readonly all?: true
  readonly exclude?: string[]
  readonly schedule?: string[]
  readonly timeZone?: string
  readonly days?: string
  readonly destination?: string[]
  readonly force?: true
  readonly json?: true
}

/** An option that may be given several times. */
const several = (value: string, before: string[] = []) => [...before, value]

export function addSource(program: Command): void {
  program
    .command('source')
    .description('add a database to the configuration')
    .command('add')
    .description(
      'try a database, or a server with all of its own, then write it to the configuration file, its password to .env',
    )
    .argument(
      '<url>',
      'a connection string; “-” reads it from standard input, where no list of processes shows it',
    )
    .option('--name <name>', 'under which its backups are kept; default: the database’s name')
    .option('--all', 'every database of the server, those that come later too; the same as a database “*”')
    .option(
      '--exclude <database>',
      'with --all: one that is left out, with * and ?; several times for several',
      several,
    )
    .option(
      '--schedule <cron>',
      'when; several times for several schedules; default: that of the others',
      several,
    )
    .option('--time-zone <zone>', 'in which the schedule is meant')
    .option('--days <days>', 'for which a backup is kept')
    .option(
      '--destination <name>',
      'where backups go; several times for several; default: everywhere',
      several,
    )
    .option('--force', 'write it even if it cannot be backed up now')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        [
          'source add postgresql://backup:secret@db.example.com:5432/wiki',
          'a running service takes it at once',
        ],
        ['source add postgresql://backup@db.example.com/wiki --schedule "30 1 * * *" --days 14', ''],
        ['source add "postgresql://backup@db.example.com/*" --name fleet --exclude "scratch*"', ''],
        ['source add - --name wiki < url.txt', 'exit status 4 if the database cannot be backed up'],
      ),
    )
    .action(async (url: string, options: Options) => {
      const addition = planSource({
        url: url === '-' ? await readLine() : url,
        name: options.name,
        all: options.all,
        settings: settingsOf(options),
      })
      const { sources, groups } = addition.added
      const group = groups.find(({ name }) => name === addition.name)
      const source = group ?? sources.find(({ name }) => name === addition.name)
      if (group === undefined && options.exclude !== undefined) throw notAll()
      if (source === undefined) throw new BackupError('INTERNAL', 'The source was not understood.')
      const outcome = await tryBefore(addition, source, options.force === true)
      const databases = group === undefined || outcome === undefined ? undefined : await membersOf(group)
      const files = await save(addition)
      const service = await tellService(addition.config)
      const [next] = nextTimes(source.name, source, new Date(), 1)
      if (options.json) {
        const { name, variables } = addition
        const { problem, ...facts } = outcome ?? { problem: undefined }
        printJson({
          source: name,
          connection: source.connection.shown,
          ...(databases === undefined ? {} : { databases }),
          files,
          variables,
          ...facts,
          problem: problem?.message ?? null,
          next: next?.at ?? null,
          reloaded: service.told,
        })
        return
      }
      print(`${source.name} is added to ${files.join(' and ')}.`)
      if (outcome !== undefined) for (const line of [...tried(outcome), ...aboutRole(outcome)]) note(line)
      if (databases !== undefined) for (const line of told(databases)) note(line)
      if (next !== undefined) note(`Its next backup: ${moment(next.at, source.timeZone)}.`)
      note(service.text)
    })
}

/** What a group stands for now. */
interface Members {
  readonly backedUp: readonly string[]
  readonly leftOut: readonly string[]
  /** The role may not connect to these. */
  readonly closed: readonly string[]
}

async function membersOf(group: SourceGroup): Promise<Members> {
  const { open, closed } = await listDatabases(group.connection)
  const wanted = (database: string) => !leavesOut(group, database)
  return {
    backedUp: open.filter(wanted),
    leftOut: open.filter((database) => !wanted(database)),
    closed: closed.filter(wanted),
  }
}

function told({ backedUp, leftOut, closed }: Members): string[] {
  const names = (list: readonly string[]) => (list.length === 0 ? 'none' : list.join(', '))
  return [
    `Databases that are backed up, each as a source of its own: ${names(backedUp)}.`,
    ...(leftOut.length === 0 ? [] : [`Left out: ${names(leftOut)}.`]),
    ...(closed.length === 0
      ? []
      : [`Not backed up, because this role may not connect to them (GRANT CONNECT): ${names(closed)}.`]),
  ]
}

function notAll(): BackupError {
  return new BackupError('USAGE', '--exclude leaves databases out of all, and this is one database.', {
    hint: 'Add --all, or leave --exclude out.',
  })
}

/** What is said of the source in the file: only what was given. */
function settingsOf({ schedule, timeZone, days, destination, exclude }: Options): Record<string, unknown> {
  return {
    ...(exclude === undefined ? {} : { exclude: { databases: exclude } }),
    ...(schedule === undefined ? {} : { schedule: schedule.length === 1 ? schedule[0] : schedule }),
    ...(timeZone === undefined ? {} : { timeZone }),
    ...(days === undefined ? {} : { retention: { days: /^\d+$/.test(days) ? Number(days) : days } }),
    ...(destination === undefined ? {} : { destinations: destination }),
  }
}

/** Nothing is written for a database that cannot be backed up, unless that is wished. */
async function tryBefore(
  { added }: Addition,
  { connection }: Pick<Source, 'connection'>,
  force: boolean,
): Promise<TriedDatabase | undefined> {
  try {
    const outcome = await tryDatabase(connection, added.pgBinDirectory)
    if (outcome.problem === undefined || force) return outcome
    for (const line of aboutRole(outcome)) note(line)
    throw outcome.problem
  } catch (error) {
    if (!force || !(error instanceof BackupError)) throw error
    note(`${error.message} It is added all the same.`)
    return undefined
  }
}
