import { type Figures, figures } from '@securyflex/shared/health'
import { findReports, type RunReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import type { Storage } from '@securyflex/shared/storage'
import type { Command } from 'commander'
import { configure } from '../configuration.ts'
import { examples } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { count, duration, inZone, size } from '../output/written.ts'
import { openRepositories, sourcesOf } from '../repositories.ts'

/** How many runs of a source are looked at; a month of hourly ones is fewer. */
const mostRuns = 1000

export function addHealth(program: Command): void {
  program
    .command('health')
    .description('show success rate, sizes, durations and last success of each source, of the last 30 days')
    .argument('[source]', 'only of this source')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(['health', 'the four figures'], ['health shop --json', 'those of shop, for a program']),
    )
    .action(async (source: string | undefined, options: { json?: true }) => {
      const config = configure()
      const storages = openRepositories(config)
      const sources = await sourcesOf(config, storages, source)
      const { reports, unreadable } = await readReports(storages, sources, new KeyRing(config.keys))
      const found = figures(reports, new Date())
      if (options.json) printJson({ sources: found, unreadable })
      else for (const one of found) print(section(one, config.defaults.timeZone))
      for (const name of sources.filter((known) => !found.some((one) => one.source === known))) {
        note(`${name}: no run yet.`)
      }
      if (sources.length === 0) note('There is no source: set DATABASE_URL.')
      for (const { run, problem } of unreadable) note(`The report of ${run} is left out: ${problem}`)
    })
}

interface Unreadable {
  readonly run: string
  readonly problem: string
}

async function readReports(
  storages: readonly Storage[],
  sources: readonly string[],
  keys: KeyRing,
): Promise<{ reports: RunReport[]; unreadable: Unreadable[] }> {
  const reports: RunReport[] = []
  const unreadable: Unreadable[] = []
  for (const storage of storages) {
    for (const source of sources) {
      for await (const { run, report, problem } of findReports(storage, source, keys, mostRuns)) {
        if (report === undefined) unreadable.push({ run, problem })
        else reports.push(report)
      }
    }
  }
  return { reports, unreadable }
}

function section(one: Figures, timeZone: string): string {
  const { successRate, runs, sizes, stored, durations, lastSuccess } = one
  const rate =
    successRate === undefined ? 'none ended' : `${(successRate * 100).toFixed(successRate === 1 ? 0 : 1)}%`
  const bad = `${count(runs.degraded, 'degraded', 'degraded')}, ${count(runs.failed, 'failed', 'failed')}`
  const lines = [
    `success       ${rate} of ${count(runs.total, 'run')} in ${count(one.windowDays, 'day')} (${bad})`,
    `size          ${amounts(sizes)}`,
    `stored        ${amounts(stored)}`,
    `duration      ${durations === undefined ? 'unknown' : `${duration(durations.last)}, on average ${duration(durations.average)}, at most ${duration(durations.longest)}`}`,
    `last success  ${lastSuccess === undefined ? 'never' : `${inZone(new Date(lastSuccess.time), timeZone)} ${timeZone}, ${duration(lastSuccess.age)} ago (${lastSuccess.run})`}`,
  ]
  return [one.source, ...lines.map((line) => `  ${line}`)].join('\n')
}

function amounts(sizes: Figures['sizes']): string {
  if (sizes === undefined) return 'unknown'
  const trend =
    sizes.trend === undefined
      ? ''
      : `, ${sizes.trend < 0 ? '' : '+'}${(sizes.trend * 100).toFixed(0)}% against before`
  return `${size(sizes.last)}, on average ${size(sizes.average)}${trend}`
}
