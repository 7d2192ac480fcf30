import { parseArgs } from 'node:util'

/** What is measured, in this order. */
export const sections = ['first', 'restore', 'small', 'due', 'workers', 'redis', 'changes', 'memory'] as const
export type Section = (typeof sections)[number]

export interface Options {
  /** Bytes that the dump of the database shall have, about. */
  readonly size: number
  /** How often each side is measured; the median counts. */
  readonly rounds: number
  readonly only: readonly Section[]
  /** Where the worker leaves a CPU profile of each run; none without it. */
  readonly profile: string | undefined
}

/** What counts: smaller databases are for development, and their figures are not written down. */
export const leastSize = 1.5e9
export const leastRounds = 3

const usage = `npm run bench -- [--size 1.8GB] [--rounds 3] [--only ${sections.join(',')}] [--profile <directory>]

Measures this product beside shell pipelines on one database, prints a table and writes it to docs/benchmarks.md.
Less than 1.5 GB or less than 3 rounds is for development: nothing is written then. Of a part of the sections the page says so.
With --profile each worker leaves a .cpuprofile, which Chrome's DevTools open.
`

/** The command line's options; undefined after --help. @throws Error that says what is wrong */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      size: { type: 'string', default: '1.8GB' },
      rounds: { type: 'string', default: String(leastRounds) },
      only: { type: 'string', default: sections.join(',') },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    return undefined
  }
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds ${values.rounds} is no count.\n${usage}`)
  return {
    size: sizeOf(values.size),
    rounds,
    only: values.only.split(',').map(sectionOf),
    profile: values.profile,
  }
}

function sizeOf(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(MB|GB)$/.exec(text)
  if (match === null)
    throw new Error(`--size ${text} is no size: write for example --size 200MB or --size 1.8GB.`)
  return Number(match[1]) * (match[2] === 'GB' ? 1e9 : 1e6)
}

function sectionOf(text: string): Section {
  const section = sections.find((name) => name === text)
  if (section === undefined) throw new Error(`--only ${text}: choose of ${sections.join(', ')}.`)
  return section
}
