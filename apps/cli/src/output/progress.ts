import { SingleBar } from 'cli-progress'
import { note } from './print.ts'
import { size } from './written.ts'

/** Shows how far a long work is. */
export interface Progress {
  /** `done` of the total, in bytes. */
  update(done: number): void
  /** Takes the bar away, whatever came of the work. */
  end(): void
}

/** Without a terminal a line is written at each of these parts of the whole. */
const lines = 4

/** A bar on a terminal, a few plain lines elsewhere; on standard error. */
export function showProgress(label: string, total: number): Progress {
  return process.stderr.isTTY ? bar(label, total) : plainLines(label, total)
}

function bar(label: string, total: number): Progress {
  const single = new SingleBar({
    format: `${label} {bar} {percentage}%  {done} of ${size(total)}  {eta_formatted} left`,
    hideCursor: true,
    clearOnComplete: true,
    stream: process.stderr,
  })
  single.start(Math.max(1, total), 0, { done: size(0) })
  return {
    update: (done) => {
      single.update(done, { done: size(done) })
    },
    end: () => {
      single.stop()
    },
  }
}

function plainLines(label: string, total: number): Progress {
  let next = 1
  return {
    update: (done) => {
      if (total === 0 || done * lines < total * next) return
      next = Math.floor((done * lines) / total) + 1
      note(`${label}: ${size(done)} of ${size(total)}`)
    },
    end: () => undefined,
  }
}
