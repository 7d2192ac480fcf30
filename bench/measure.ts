import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Seconds that `work` took by the wall, and what it gave. */
export async function timed<T>(work: () => Promise<T>): Promise<{ seconds: number; value: T }> {
  const before = performance.now()
  const value = await work()
  return { seconds: (performance.now() - before) / 1000, value }
}

/** Seconds that `work` took by the wall, and those that the cores spent in the programs that it started. */
export async function timedPrograms<T>(work: () => Promise<T>): Promise<{ seconds: number; cpu: number }> {
  const before = cpuTimes(process.pid).ended
  const { seconds } = await timed(work)
  return { seconds, cpu: cpuTimes(process.pid).ended - before }
}

/** Seconds of the cores: of a process itself, and of the programs below it that have ended. proc(5), stat. */
function cpuTimes(pid: number): { own: number; ended: number } {
  const stat = quietly(() => readFileSync(`/proc/${String(pid)}/stat`, 'utf8')) ?? ''
  const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = (stat.split(') ').at(-1) ?? '')
    .split(' ')
    .slice(11, 15)
    .map(Number)
  return { own: (user + system) / ticksPerSecond, ended: (endedUser + endedSystem) / ticksPerSecond }
}

/** USER_HZ, which is 100 wherever Node runs on Linux. */
const ticksPerSecond = 100

/** The middle value; of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const [low, high] = [Math.floor((sorted.length - 1) / 2), Math.ceil((sorted.length - 1) / 2)]
  return ((sorted[low] ?? Number.NaN) + (sorted[high] ?? Number.NaN)) / 2
}

/** The most that was seen while a process was watched, in bytes. */
export interface Peaks {
  /** Resident memory of the process itself: VmHWM, which the kernel keeps. */
  readonly process: number
  /** Seconds of the cores that it and its ended programs spent. */
  readonly cpu: number
  /** The same of each program that it started, by name. */
  readonly tools: ReadonlyMap<string, number>
  /** Files below the directory. */
  readonly directory: number
}

/** Between two looks, in ms: short programs are seen, and looking costs little. */
const interval = 100

/** Watches a process, its children and what lies in a directory. `peaks` may be called as long as it runs. */
export function watch(pid: number, directory: string): { peaks(): Peaks; stop(): void } {
  const tools = new Map<string, number>()
  let largest = 0
  const look = () => {
    largest = Math.max(largest, bytesBelow(directory))
    for (const child of descendants(pid)) {
      const facts = processFacts(child)
      if (facts === undefined || facts.name === 'setpriv' || facts.name === 'node') continue
      tools.set(facts.name, Math.max(tools.get(facts.name) ?? 0, facts.peak))
    }
  }
  const timer = setInterval(look, interval)
  return {
    peaks: () => {
      const { own, ended } = cpuTimes(pid)
      return { process: processFacts(pid)?.peak ?? 0, cpu: own + ended, tools, directory: largest }
    },
    stop: () => {
      clearInterval(timer)
    },
  }
}

function descendants(pid: number): number[] {
  const threads = quietly(() => readdirSync(`/proc/${String(pid)}/task`)) ?? []
  const children = threads.flatMap((thread) =>
    (quietly(() => readFileSync(`/proc/${String(pid)}/task/${thread}/children`, 'utf8')) ?? '')
      .split(' ')
      .filter((text) => text !== '')
      .map(Number),
  )
  return [...children, ...children.flatMap(descendants)]
}

/** proc(5): VmHWM is the peak of the resident set, in kB. */
function processFacts(pid: number): { name: string; peak: number } | undefined {
  const status = quietly(() => readFileSync(`/proc/${String(pid)}/status`, 'utf8'))
  const name = /^Name:\s*(.+)$/m.exec(status ?? '')?.[1]
  const peak = /^VmHWM:\s*(\d+) kB$/m.exec(status ?? '')?.[1]
  return name === undefined || peak === undefined ? undefined : { name, peak: Number(peak) * 1024 }
}

/** Bytes of all files below a directory. */
export function bytesBelow(directory: string): number {
  const entries = quietly(() => readdirSync(directory, { withFileTypes: true })) ?? []
  return entries.reduce((sum, entry) => {
    const path = join(directory, entry.name)
    return sum + (entry.isDirectory() ? bytesBelow(path) : (quietly(() => statSync(path).size) ?? 0))
  }, 0)
}

/** Processes end and files go while they are looked at: what is not there counts as nothing. */
function quietly<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

export function inMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 10e6 ? 2 : 0)} MB`
}

export function inSeconds(seconds: number): string {
  return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`
}
