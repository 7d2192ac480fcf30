import type { Step } from '@securyflex/shared/config'
import { SingleBar } from 'cli-progress'
import { print } from '../output/print.ts'
import { size } from '../output/written.ts'
import type { RunState } from './follow.ts'

/** Tells how a run gets on: steps, bytes and rate. */
export interface Narrator {
  tell(state: RunState): void
  /** Takes the bar away, whatever came of the run. */
  end(): void
}

/** Without a terminal a long step is mentioned again after this time, in ms. */
const reminder = 10_000

/**
 * A bar on a terminal; elsewhere a line for each new step, indented by two.
 * @param expected bytes that the run will read, e.g. as many as the last one; undefined if nothing is known
 */
export function narrator(expected: number | undefined, terminal = process.stdout.isTTY): Narrator {
  const rate = new Rate()
  return terminal ? bar(expected, rate) : plainLines(rate)
}

function bar(expected: number | undefined, rate: Rate): Narrator {
  const format = `${expected === undefined ? '' : '{bar} {percentage}%  '}{text}`
  const single = new SingleBar({ format: `  ${format}`, barsize: 24, hideCursor: true, clearOnComplete: true, stream: process.stdout })
  single.start(expected ?? 1, 0, { text: 'waiting for a worker' })
  return {
    tell(state) {
      single.update(Math.min(state.read, single.getTotal()), { text: sentence(state, rate) })
    },
    end() {
      single.stop()
    },
  }
}

function plainLines(rate: Rate): Narrator {
  let [lastSteps, lastTime] = ['', 0]
  return {
    tell(state) {
      const text = sentence(state, rate)
      const steps = phaseOf(state.steps)
      const now = performance.now()
      // What has not begun to flow has nothing to tell, nor has the moment between two steps.
      const empty = state.read === 0 || steps === '' || (steps === 'dump' && rate.of(state) === undefined)
      if (empty || (steps === lastSteps && now - lastTime < reminder)) return
      lastSteps = steps
      lastTime = now
      print(`  ${text}`)
    },
    end: () => undefined,
  }
}

/** Steps of the lane come and go; together they are one phase. */
function phaseOf(steps: readonly Step[]): string {
  if (steps.includes('dump')) return 'dump'
  if (steps.some((step) => step === 'compress' || step === 'encrypt' || step === 'upload')) return 'lanes'
  return steps.join()
}

function sentence(state: RunState, rate: Rate): string {
  const { steps, read, fresh } = state
  if (steps.length === 0) return read === 0 ? 'waiting for a worker' : 'between two steps'
  const speed = rate.of(state)
  const shown = steps.includes('dump') && speed !== undefined ? `, ${size(speed)}/s` : ''
  return `${steps.join(' + ')}: ${size(read)} read${shown}, ${size(fresh)} of it new`
}

/** Bytes read a second since the first ones came. */
class Rate {
  #first: { readonly at: number; readonly read: number } | undefined

  of({ read }: RunState): number | undefined {
    if (read === 0) return undefined
    this.#first ??= { at: performance.now(), read }
    const seconds = (performance.now() - this.#first.at) / 1000
    return read === this.#first.read ? undefined : (read - this.#first.read) / seconds
  }
}
