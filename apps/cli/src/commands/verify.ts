import { KeyRing } from '@securyflex/shared/keys'
import type { Command } from 'commander'
import { configure } from '../configuration.ts'
import { interruptible } from '../interruption.ts'
import { examples } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { count, size } from '../output/written.ts'
import { openNamed } from '../repositories.ts'
import { type Verified, verifyBackup } from '../verification.ts'

interface Flags {
  readonly full?: true
  readonly source?: string
  readonly destination?: string
  readonly json?: true
}

export function addVerify(program: Command): void {
  program
    .command('verify')
    .description('read a backup back at each destination and check it; exit status 7 if it is damaged')
    .argument('<backup>', '“latest” or a run’s id')
    .option('--full', 'read everything, not only what the backup added and a share of the rest')
    .option('--source <name>', 'whose latest; needed if there are several sources')
    .option('--destination <name>', 'only there; default: wherever it is')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['verify latest', 'the newest backup'],
        ['verify shop.20261123T020000Z.3fa2 --full', 'every byte of that one'],
      ),
    )
    .action(async (backup: string, options: Flags) => {
      const config = configure()
      const results = await interruptible((signal) =>
        verifyBackup({
          config,
          storages: openNamed(config, options.destination),
          keys: new KeyRing(config.keys),
          backup,
          source: options.source,
          full: options.full ?? false,
          now: new Date(),
          signal,
        }),
      )
      if (options.json) printJson({ results: results.map(toJson) })
      else for (const result of results) show(result)
      const bad = results.find(({ problem }) => problem !== undefined)
      if (bad?.problem !== undefined) throw bad.problem
    })
}

function show({ run, destination, checked, authenticated, problem }: Verified): void {
  if (problem !== undefined) {
    note(`${run} at ${destination} is not good:`)
    return
  }
  const { opened = 0, listed = 0, bytes = 0 } = checked ?? {}
  const rest =
    listed === 0 ? 'that is all of it' : `${count(listed, 'more is', 'more are')} there with the right size`
  print(`${run} at ${destination} is good: ${count(opened, 'segment')} (${size(bytes)}) opened, ${rest}.`)
  if (!authenticated) note('It is not encrypted: checksums were compared, which show damage but not forgery.')
}

function toJson({ problem, ...result }: Verified): object {
  return {
    ...result,
    problem: problem === undefined ? null : { code: problem.code, message: problem.message },
  }
}
