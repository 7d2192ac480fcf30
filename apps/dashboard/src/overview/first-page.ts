import { type Config, settingsOf } from '@securyflex/shared/config'
import { type BackupError, redact } from '@securyflex/shared/errors'
import type { FoundReport, RunReport } from '@securyflex/shared/history'
import { actionList, button, sourceList, underWayList } from './controls.ts'
import type { Live, NextRun, Past, QueueFacts } from './facts.ts'
import { html, type Html } from './html.ts'
import { page } from './page.ts'
import { duration, moment, size } from './written.ts'

/** What the first page shows. */
export interface Overview {
  readonly now: Date
  /** Undefined while Redis does not answer. */
  readonly live: Live | undefined
  /** Where Redis is, without credentials. */
  readonly redis: string
  /** Why it does not, as far as it is known. */
  readonly trouble: BackupError | undefined
  readonly past: Past
}

/** The first page: what is wrong, what comes next, what was, and who works. */
export function firstPage(config: Config, overview: Overview): string {
  const { live, past, now } = overview
  const zone = config.defaults.timeZone
  return page(
    'SecuryFlex Backup',
    html`<h1>Backups</h1>
      ${notices(config, overview)} ${sourceList(config, live)} ${underWayList(live)}
      ${nextBackup(config, live)} ${lastRuns(past, zone)} ${actionList(live, zone)}
      ${live === undefined ? undefined : queueTable(live.queues)}
      <p class="soft">As of ${moment(now, zone)}, times in ${zone}. Reload the page for newer figures.</p>`,
  )
}

function notices(config: Config, { live, redis, trouble, past }: Overview): Html[] {
  return [
    ...(config.sources.length + config.groups.length === 0 ? [noDatabase()] : []),
    ...(live === undefined ? [noRedis(redis, trouble)] : [...evicting(live), ...unserved(live.queues)]),
    ...past.problems.map((problem) =>
      notice(html`<p>Run reports cannot be read from ${redact(problem)}</p>`),
    ),
  ]
}

function noDatabase(): Html {
  return notice(
    html`<p>No database is configured, so nothing is backed up.</p>
      <p>Stop the service with Ctrl-C and start it with the address of your database, for example:</p>
      <pre>DATABASE_URL=postgresql://backup:password@localhost:5432/shop npm start</pre>
      <p class="soft">The same line without “npm start” can stand in a file named <code>.env</code>.</p>`,
  )
}

function noRedis(shown: string, trouble: BackupError | undefined): Html {
  const [what, remedy] =
    trouble?.class === 'user'
      ? [trouble.message, html`${trouble.hint}`]
      : [
          `Redis at ${shown} does not answer.`,
          html`Start it, or the whole service with <code>npm start</code>; this page then works by itself.`,
        ]
  return notice(
    html`<p>${redact(what)} No backup is made, and queues are not shown.</p>
      <p>${remedy}</p>`,
  )
}

function evicting({ eviction }: Live): Html[] {
  if (eviction === undefined) return []
  return [
    notice(
      html`<p>Redis may drop jobs when it is full: its maxmemory-policy is ${eviction}.</p>
        <p>Type <code>redis-cli CONFIG SET maxmemory-policy noeviction</code>.</p>`,
    ),
  ]
}

function unserved(queues: readonly QueueFacts[]): Html[] {
  const idle = queues.filter(({ workers }) => workers === 0).map(({ name }) => name)
  const paused = queues.filter((queue) => queue.paused).map(({ name }) => name)
  return [
    ...(idle.length === 0
      ? []
      : [
          notice(
            html`<p>
                ${idle.length === queues.length ? 'No worker is running' : `No worker serves ${idle.join(', ')}`},
                so backups wait.
              </p>
              <p>
                Start one with <code>npx --no securyflex-backup worker</code>, or everything with
                <code>npm start</code>.
              </p>`,
          ),
        ]),
    ...(paused.length === 0
      ? []
      : [
          notice(
            html`<p>
              Paused: ${paused.join(', ')}. Backups wait until it is resumed under
              <a href="/board/">Queues</a>.
            </p>`,
          ),
        ]),
  ]
}

function notice(content: Html): Html {
  return html`<div class="notice">${content}</div>`
}

function nextBackup(config: Config, live: Live | undefined): Html {
  return html`<h2>Next backup</h2>
    ${live === undefined ? undefined : planned(live.next, config)}
    <p>
      For a backup ${live?.next.length ? 'before that' : 'now'}, type <code>npm run backup</code> in a
      terminal.
    </p>`
}

function planned(next: readonly NextRun[], config: Config): Html {
  if (next.length > 0) return html`${next.map((one) => plannedRun(one, config))}`
  if (!config.scheduleEnabled) return html`<p>None is planned: BACKUP_SCHEDULE_ENABLED is false.</p>`
  return html`<p>
    None is planned yet: the producer plans them once it runs and a database with a schedule is configured.
  </p>`
}

function plannedRun({ source, at }: NextRun, config: Config): Html {
  const { timeZone } = settingsOf(config, source)
  return html`<p>${source}: ${moment(at, timeZone)} (${timeZone})</p>`
}

function lastRuns({ runs }: Past, zone: string): Html {
  if (runs.length === 0)
    return html`<h2>Last runs</h2>
      <p>There has been none yet.</p>`
  return html`<h2>Last runs</h2>
    <table class="runs">
      <thead>
        <tr>
          <th>Source</th>
          <th>Outcome</th>
          <th>Started</th>
          <th class="number">Took</th>
          <th class="number">Read</th>
          <th class="number">Stored</th>
        </tr>
      </thead>
      <tbody>
        ${runs.map((run) => runRow(run, zone))}
      </tbody>
    </table>`
}

function runRow({ run, report, problem }: FoundReport, zone: string): Html {
  if (report === undefined) {
    return html`<tr>
      <td>${run}</td>
      <td class="told" colspan="5">
        <span class="outcome unknown">unreadable</span> <span class="why">${redact(problem)}</span>
      </td>
    </tr>`
  }
  const { source, outcome, startedAt, bytes } = report
  const remarks = remarksOn(report).map((remark) => html`<span class="why">${redact(remark)}</span>`)
  return html`<tr>
    <td title="${run}">${source}</td>
    <td class="told">
      <span class="outcome ${outcome}">${outcome}</span>
      ${outcome === 'failed' ? button('retry', 'Retry', 'run', run) : undefined} ${remarks}
    </td>
    <td data-label="Started">${moment(new Date(startedAt), zone)}</td>
    <td class="number" data-label="Took">${took(report)}</td>
    <td class="number" data-label="Read">${bytes === undefined ? undefined : size(bytes)}</td>
    <td class="number" data-label="Stored">${stored(report)}</td>
  </tr>`
}

/** Why it is not a plain success, as far as the report says. */
function remarksOn({ reason, hint, destinations, notifications, warnings }: RunReport): string[] {
  const lost = destinations.filter(
    (destination) => destination.reason !== undefined && destination.reason !== reason,
  )
  const unheard = notifications.filter(({ delivered }) => !delivered)
  return [
    [reason, hint].filter((part) => part !== undefined).join(' '),
    ...lost.map((destination) => `${destination.name}: ${destination.reason ?? ''}`),
    ...unheard.map((channel) => `Not announced by ${channel.channel}. ${channel.reason ?? ''}`),
    ...warnings,
  ].filter((remark) => remark !== '')
}

function took({ startedAt, finishedAt }: RunReport): string | undefined {
  return finishedAt === undefined
    ? undefined
    : duration((Date.parse(finishedAt) - Date.parse(startedAt)) / 1000)
}

/** At the destination to which most was added: each holds the whole backup. */
function stored({ destinations }: RunReport): string | undefined {
  const bytes = destinations.flatMap((destination) => destination.stored?.bytes ?? [])
  return bytes.length === 0 ? undefined : size(Math.max(...bytes))
}

function queueTable(queues: readonly QueueFacts[]): Html {
  return html`<h2>Queues</h2>
    <table class="queues">
      <thead>
        <tr>
          <th>Step</th>
          <th class="number">Workers</th>
          <th class="number">Active</th>
          <th class="number">Waiting</th>
          <th class="number">Failed</th>
        </tr>
      </thead>
      <tbody>
        ${queues.map(
          ({ name, workers, active, waiting, failed }) =>
            html`<tr>
              <td><a href="/board/queue/${encodeURIComponent(name)}">${name}</a></td>
              <td class="number">${workers}</td>
              <td class="number">${active}</td>
              <td class="number">${waiting}</td>
              <td class="number">${failed === 0 ? 0 : html`<span class="failed">${failed}</span>`}</td>
            </tr>`,
        )}
      </tbody>
    </table>`
}
