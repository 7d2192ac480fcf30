import { KeyRing } from '@securyflex/shared/keys'
import { describeAction, everything, shownSubject } from '@securyflex/shared/queue'
import type { Command } from 'commander'
import { configureAloud } from '../configuration.ts'
import { examples } from '../output/examples.ts'
import { print, printJson } from '../output/print.ts'
import { inZone, moment } from '../output/written.ts'
import { gatherStatus, type Status } from '../status.ts'

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('show the schedule, the workers, the runs under way and the last run of each source')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(['status', 'also checks BACKUP_CRON and BACKUP_TIMEZONE'], ['status --json', 'for a program']),
    )
    .action(async (options: { json?: true }) => {
      const config = configureAloud()
      const { status, problem } = await gatherStatus(config, new KeyRing(config.keys), new Date())
      if (options.json) printJson(status)
      else print(report(status, config.defaults.timeZone))
      if (problem !== undefined) throw problem
    })
}

function report(status: Status, timeZone: string): string {
  return [
    ...schedule(status),
    ...service(status),
    ...paused(status, timeZone),
    ...underWay(status, timeZone),
    ...lastRuns(status, timeZone),
    ...actions(status, timeZone),
  ].join('\n')
}

function schedule({ scheduleEnabled, schedules }: Status): string[] {
  if (!scheduleEnabled) return ['Schedule: off (BACKUP_SCHEDULE_ENABLED=false)']
  return schedules.flatMap(({ source, cron, timeZone, next }) =>
    cron.length === 0
      ? [`Schedule of ${source}: none, on request only`]
      : [
          `Schedule of ${source}: ${cron.join(' and ')} in ${timeZone}; next:`,
          ...next.map((time) => `  ${moment(new Date(time), timeZone)}`),
        ],
  )
}

function service({ service: { redis, running, unserved } }: Status): string[] {
  if (redis === null) return ['Service: not running (npm start), and REDIS_URL is not set']
  if (!running) return [`Service: Redis at ${redis} does not answer`]
  if (unserved.length === 0) return [`Service: Redis at ${redis}, workers serve every queue`]
  return [
    `Service: Redis at ${redis}, no worker serves ${unserved.join(', ')} (npx --no securyflex-backup worker)`,
  ]
}

function paused({ paused }: Status, timeZone: string): string[] {
  return paused.map(({ subject, by, at }) => {
    const line = `resume ${subject === everything ? '' : subject.replace(/-\*$/, '')}`.trim()
    return `Paused: ${shownSubject(subject)}, by ${by} at ${inZone(new Date(at), timeZone)} (npx --no securyflex-backup ${line})`
  })
}

function actions({ actions }: Status, timeZone: string): string[] {
  if (actions.length === 0) return []
  return [
    'Last done by people and schedules:',
    ...actions.map((action) => `  ${inZone(new Date(action.at), timeZone)}  ${describeAction(action)}`),
  ]
}

function underWay({ underWay }: Status, timeZone: string): string[] {
  if (underWay.length === 0) return ['Under way: nothing']
  return [
    'Under way:',
    ...underWay.map(
      ({ run, state, waitsFor, requestedAt }) =>
        `  ${run}  ${waitsFor === null ? state : `waits for ${waitsFor}`}, asked for at ${inZone(new Date(requestedAt), timeZone)}`,
    ),
  ]
}

function lastRuns({ sources }: Status, timeZone: string): string[] {
  if (sources.length === 0) return ['Sources: none (set DATABASE_URL)']
  return ['Last run of each source:', ...sources.map((source) => `  ${lastRun(source, timeZone)}`)]
}

function lastRun({ source, last, problem }: Status['sources'][number], timeZone: string): string {
  if (last === null) return `${source}: ${problem ?? 'none yet'}`
  const ended = inZone(new Date(last.finishedAt ?? last.startedAt), timeZone)
  const why = last.reason === null ? '' : `: ${last.reason}`
  return `${source}: ${last.outcome} at ${ended} (${last.run})${why}`
}
