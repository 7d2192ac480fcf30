import { configurationSchema, explainConfig } from '@securyflex/shared/config'
import type { Command } from 'commander'
import { configureAloud } from '../configuration.ts'
import { checkAll, type Checked } from '../configuring/check.ts'
import { explained } from '../configuring/explained.ts'
import { examples } from '../output/examples.ts'
import { columns, print, printJson } from '../output/print.ts'
import { moment, size } from '../output/written.ts'

export function addConfig(program: Command): void {
  const config = program.command('config').description('check the configuration, or show what it comes to')
  config
    .command('check')
    .description(
      'connect to every source, destination and Redis; show tools and the next times of each schedule',
    )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['config check', 'exit status 0 if all is well, else that of the first trouble: 2, 4, 5, 6 or 7'],
        ['config check --json', 'for a program; the webhook is not called'],
      ),
    )
    .action(async (options: { json?: true }) => {
      const { checked, problem } = await checkAll(configureAloud('key'), new Date())
      if (options.json) printJson(checked)
      else print(report(checked))
      if (problem !== undefined) throw problem
    })
  config
    .command('show')
    .description('show every setting, and which line or variable says so; secrets are hidden')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(['config show', 'what each source comes to'], ['config show --json', 'for a program']),
    )
    .action((options: { json?: true }) => {
      const { config: effective, ...parts } = explainConfig({ needs: [] })
      if (options.json) printJson({ file: effective.file ?? null, ...parts })
      else print(explained({ config: effective, ...parts }))
    })
  config
    .command('schema')
    .description('print the JSON schema of backup.config.yaml, for editors')
    .option('--json', 'the same; it is JSON in any case')
    .addHelpText('after', examples(['config schema > schema.json', 'also in docs/backup.config.schema.json']))
    .action(() => {
      printJson(configurationSchema())
    })
}

function report({ file, redis, destinations, sources, schedules }: Checked): string {
  const state = (problem: string | null, fine: string) => (problem === null ? fine : `NOT GOOD: ${problem}`)
  return [
    `Configuration: ${file ?? 'the environment'}`,
    `Redis: ${redis.shown ?? 'none is named; npm start and npm run backup bring their own'}${redis.shown === null ? '' : ` ${state(redis.problem, `answers, version ${redis.version ?? ''}`)}`}`,
    'Destinations:',
    ...table(destinations.map((one) => [one.name, one.shown, state(one.problem, fine(one))])),
    sources.length === 0
      ? 'Sources: none; add one with: npx --no securyflex-backup source add <url>'
      : 'Sources:',
    ...table(
      sources.map((one) => [
        one.group ? `${one.name}-*` : one.name,
        one.shown,
        state(
          one.problem,
          `PostgreSQL ${one.server ?? ''}, tools ${one.tools ?? ''} in ${one.toolDirectory ?? ''}, ${size(one.sizeBytes ?? 0)}, role ${one.role ?? ''}`,
        ),
      ]),
    ),
    ...schedules.flatMap(({ source, cron, timeZone, next }) => [
      cron === null
        ? `Schedule of ${source}: none, on request only`
        : `Schedule of ${source}: ${cron} in ${timeZone}; next:`,
      ...next.map((time) => `  ${moment(new Date(time), timeZone)}`),
    ]),
  ].join('\n')
}

function fine({ free, missing, remarks }: Checked['destinations'][number]): string {
  const room = free === null ? 'can be written, read, listed' : `${size(free)} free`
  return [missing ? `${room}, made by the first backup` : room, ...remarks].join('; ')
}

function table(rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0
    ? []
    : columns(rows)
        .split('\n')
        .map((line) => `  ${line}`)
}
