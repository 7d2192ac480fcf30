import type { Config } from '@securyflex/shared/config'
import { redact } from '@securyflex/shared/errors'
import { describeAction, everything, holdsFor, shownSubject } from '@securyflex/shared/queue'
import type { Live } from './facts.ts'
import { html, type Html } from './html.ts'
import { moment } from './written.ts'

/** Where the first page's buttons go. */
export const controlPath = '/control'

/** One button; what it does and to what is sent with it. */
export function button(does: string, label: string, name: 'source' | 'run', value: string): Html {
  return html`<form class="inline" method="post" action="${controlPath}/${does}">
    <input type="hidden" name="${name}" value="${value}" /><button title="${label} ${value}">${label}</button>
  </form>`
}

/** Every source and group, whether it is paused, and what can be done to it. */
export function sourceList({ sources, groups }: Config, live: Live | undefined): Html | undefined {
  const lines = [
    ...sources.map(({ name, connection }) => ({ name, where: connection.shown })),
    ...groups.map(({ name, connection }) => ({ name, where: `every database at ${connection.shown}` })),
  ]
  if (lines.length === 0) return undefined
  const isPaused = live?.paused.some(({ subject }) => subject === everything) === true
  return html`<h2>Sources</h2>
    ${lines.map(({ name, where }) => sourceLine(name, where, live))}
    ${
      live === undefined || lines.length < 2
        ? undefined
        : html`<p>
            Everything:
            ${isPaused ? button('resume', 'Resume', 'source', everything) : button('pause', 'Pause', 'source', '')}
          </p>`
    }`
}

function sourceLine(name: string, where: string, live: Live | undefined): Html {
  const paused = live === undefined ? undefined : holdsFor(live.paused, name)
  const own = paused?.subject.replace(/-\*$/, '') === name
  return html`<p>
    ${name} <span class="soft">${redact(where)}</span>
    ${
      live === undefined
        ? undefined
        : paused === undefined
          ? [button('backup', 'Back up now', 'source', name), button('pause', 'Pause', 'source', name)]
          : html`<span class="outcome degraded">paused</span>
              <span class="soft">${shownSubject(paused.subject)}, by ${redact(paused.by)}</span>
              ${own ? button('resume', 'Resume', 'source', name) : undefined}
              ${paused.subject === everything ? button('resume', 'Resume', 'source', everything) : undefined}`
    }
  </p>`
}

/** Runs that wait, saying for what, and those under way. */
export function underWayList(live: Live | undefined): Html | undefined {
  if (live === undefined || live.underWay.length === 0) return undefined
  return html`<h2>Under way</h2>
    ${live.underWay.map(
      ({ run, begun, waitsFor }) =>
        html`<p>
          ${run}
          <span class="soft"
            >${begun ? 'running' : waitsFor === undefined ? 'waits for a worker' : `waits for ${redact(waitsFor)}`}</span
          >
          ${button('cancel', 'Cancel', 'run', run)}
        </p>`,
    )}`
}

/** Who did what lately. */
export function actionList(live: Live | undefined, zone: string): Html | undefined {
  if (live === undefined || live.actions.length === 0) return undefined
  return html`<h2>Last done by people and schedules</h2>
    ${live.actions.map(
      (action) =>
        html`<p>
          <span class="soft">${moment(new Date(action.at), zone)}</span> ${redact(describeAction(action))}
        </p>`,
    )}`
}
