import { asBackupError, BackupError } from '@securyflex/shared/errors'
import { Command, CommanderError } from 'commander'
import { commandTable } from './command-table.ts'
import { typed } from './output/examples.ts'
import { reportError } from './output/report-error.ts'

/** The command line with every command, or with `only` one that it has; nothing is run yet. */
export async function buildProgram(only?: string): Promise<Command> {
  const program = new Command(typed())
    .description('PostgreSQL backups through queues, restored and compared.')
    .helpCommand(false)
    .showHelpAfterError(false)
    .configureOutput({ outputError: () => undefined })
    .addHelpText('after', '\nEvery command explains itself with --help. Exit statuses: docs/exit-statuses.md')
    .exitOverride()
  const one = only !== undefined && Object.hasOwn(commandTable, only) ? commandTable[only] : undefined
  const adding = await Promise.all(
    (one === undefined ? Object.values(commandTable) : [one]).map((load) => load()),
  )
  for (const add of adding) add(program)
  return program
}

/**
 * Runs one command line and says on standard error what went wrong.
 * @returns the exit status; docs/exit-statuses.md
 */
export async function runProgram(args: readonly string[]): Promise<number> {
  endureClosedOutput()
  try {
    const program = await buildProgram(args[0])
    if (args.length === 0) program.outputHelp()
    else await program.parseAsync([...args], { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    const known = error instanceof CommanderError ? usageError(error, args) : asBackupError(error)
    reportError(known)
    return known.exitStatus
  }
}

/** commander's `error: unknown option '--ful'\n(Did you mean --full?)` in this project's words. */
function usageError(error: CommanderError, args: readonly string[]): BackupError {
  const help = typed(error.code === 'commander.unknownCommand' ? '--help' : `${commandOf(args)}--help`)
  if (error.code === 'commander.help') {
    return new BackupError('USAGE', `“${args.join(' ')}” is not a whole command.`, {
      hint: `See what follows it: ${help}`,
    })
  }
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n')
  const suggestion = rest.join(' ').replace(/^\((.*)\)$/, '$1')
  return new BackupError('USAGE', `${first.charAt(0).toUpperCase()}${first.slice(1).replace(/\.$/, '')}.`, {
    hint: `${suggestion === '' ? '' : `${suggestion} `}All that is possible: ${help}`,
  })
}

function commandOf(args: readonly string[]): string {
  const [command] = args
  return command === undefined || command.startsWith('-') ? '' : `${command} `
}

/** A reader that has gone away (`… | head`) is no error of ours. */
function endureClosedOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}
