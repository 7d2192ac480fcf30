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
  const single = new SingleBar({
    format: `  ${format}`,
    barsize: 24,
    hideCursor: true,
    clearOnComplete: true,
    stream: process.stdout,
  })
  single.start(expected ?? 1, 0, { text: 'waiting for a worker' })
  return {
    tell(state) {
      rate.note(state.read)
      single.update(Math.min(state.read, single.getTotal()), { text: sentence(state, rate) })
    },
    end() {
      single.stop()
    },
  }
}

function plainLines(rate: Rate): Narrator {
  let [told, toldAt] = ['', performance.now()]
  let dumping: RunState | undefined
  let waited: string | undefined
  const say = (state: RunState, phase: string) => {
    print(`  ${sentence(state, rate)}`)
    told = phase
    toldAt = performance.now()
  }
  return {
    tell(state) {
      const phase = phaseOf(state.steps)
      const long = performance.now() - toldAt > reminder
      if (state.waitsFor !== undefined) {
        if (long || state.waitsFor !== waited) say(state, told)
        waited = state.waitsFor
        return
      }
      waited = undefined
      if (phase === 'dump') {
        // Its figures grow: they are told when it is over, and now and then while it takes long.
        dumping = { ...state, steps: ['dump'] }
        rate.note(state.read)
        if (long) say(state, phase)
        return
      }
      if (dumping !== undefined) {
        rate.note(state.read)
        say({ ...dumping, read: state.read, fresh: state.fresh }, 'dump')
        dumping = undefined
      }
      if (long || (isTold(phase) && phase !== told)) say(state, phase)
    },
    end: () => undefined,
  }
}

/** What takes a moment only is not worth a line. */
function isTold(phase: string): boolean {
  return phase !== '' && phase !== 'prune' && phase !== 'notify'
}

/** Steps of the lane come and go; together they are one phase. */
function phaseOf(steps: readonly Step[]): string {
  if (steps.includes('dump')) return 'dump'
  if (steps.some((step) => step === 'compress' || step === 'encrypt' || step === 'upload')) return 'lanes'
  return steps.join()
}

function sentence({ steps, waitsFor, read, fresh }: RunState, rate: Rate): string {
  if (waitsFor !== undefined) return `waiting for ${waitsFor}`
  if (steps.length === 0) return read === 0 ? 'waiting for a worker' : 'between two steps'
  if (!steps.includes('dump')) return steps.join(' + ')
  const speed = rate.current
  return `${steps.join(' + ')}: ${size(read)} read${speed === undefined ? '' : `, ${size(Math.round(speed))}/s`}, ${size(fresh)} of it new`
}

/** Bytes read a second since reading began. */
class Rate {
  #began: number | undefined
  #read = 0
  /** Undefined as long as there is nothing to tell. */
  current: number | undefined

  note(read: number): void {
    const now = performance.now()
    // A dump that begins anew counts anew.
    if (this.#began === undefined || read < this.#read) this.#began = now
    if (read > this.#read && now > this.#began) this.current = read / ((now - this.#began) / 1000)
    this.#read = read
  }
}
