import type { Command } from 'commander'
import { examples } from '../output/examples.ts'
import { runDemo } from '../service/index.ts'

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('show it all at work in a directory of its own: back up, kill, restore, compare, tamper')
    .option('--keep', 'leave everything running and print the address of the board')
    .addHelpText(
      'after',
      examples(['demo', 'the same as npm run demo; takes about a minute and leaves nothing']),
    )
    .action(async ({ keep }: { keep?: true }) => {
      process.exitCode = await runDemo({ keep })
    })
}
