/** Names of a repository's objects; docs/format.md, "Objects". */
export const layout = {
  repository: 'repository.json',
  /** No source's name has a full stop. */
  adoptions: 'repository.',
  adoption: (time: number) => `repository.${String(time)}.json`,
  keys: 'keys/',
  key: (keyId: string) => `keys/${keyId}.json`,
  segments: (source: string) => `${source}/segments/`,
  segment: (source: string, id: Buffer) => {
    const name = id.toString('hex')
    return `${source}/segments/${name.slice(0, 2)}/${name}`
  },
  aside: (source: string, id: Buffer, time: Date) =>
    `${source}/aside/${id.toString('hex')}.${String(time.getTime())}`,
  asides: (source: string) => `${source}/aside/`,
  backups: (source: string) => `${source}/backups/`,
  manifest: (source: string, run: string) => `${source}/backups/${run}.json`,
  keeps: (source: string) => `${source}/keeps/`,
  keep: (source: string, run: string, time: number) => `${source}/keeps/${run}.${String(time)}.json`,
  sweeps: (source: string) => `${source}/sweeps/`,
  sweep: (source: string, time: number) => `${source}/sweeps/${String(time)}.json`,
  scrubs: (source: string) => `${source}/scrubs/`,
  scrub: (source: string, time: number, token: Buffer) =>
    `${source}/scrubs/${String(time)}.${token.toString('hex')}.json`,
  runs: (source: string) => `${source}/runs/`,
  report: (source: string, run: string) => `${source}/runs/${run}.json`,
} as const

/** Names that a source cannot have, because the repository uses them. */
export const reservedNames: readonly string[] = ['keys', 'servers']

/** The id in a segment's name; undefined for a name that is not a segment's. */
export function segmentIdOf(name: string): Buffer | undefined {
  const match = /\/segments\/([0-9a-f]{2})\/((\1)[0-9a-f]{62})$/.exec(name)
  return match?.[2] === undefined ? undefined : Buffer.from(match[2], 'hex')
}

/** The end of the year 9999: later times have more digits than RFC 3339 writes, and are not ours. */
const lastTime = 253_402_300_799_999

/** Milliseconds in a name; undefined for a time that nobody here writes. */
export function timeIn(digits: string | undefined): number | undefined {
  const time = Number(digits ?? NaN)
  return time <= lastTime ? time : undefined
}

/** Run and time in the name of a keep document; undefined for other names. */
export function keepOf(name: string): { run: string; time: number } | undefined {
  const match = /\/keeps\/([A-Za-z0-9_-]+\.\d{8}T\d{6}Z\.[0-9a-f]{4})\.(\d{1,15})\.json$/.exec(name)
  const time = timeIn(match?.[2])
  return match?.[1] === undefined || time === undefined ? undefined : { run: match[1], time }
}

/** The run in a manifest's or report's name; undefined for other names. */
export function runOf(name: string): string | undefined {
  return /\/(?:backups|runs)\/([A-Za-z0-9_-]+\.\d{8}T\d{6}Z\.[0-9a-f]{4})\.json$/.exec(name)?.[1]
}

/** The time in the name of a scrub's document; undefined for other names. */
export function scrubOf(name: string): number | undefined {
  return timeIn(/\/scrubs\/(\d{1,15})\.[0-9a-f]{8}\.json$/.exec(name)?.[1])
}

/** Whether an object of a source has a name that a repository gives; docs/format.md, "Objects". */
export function isKnown(source: string, name: string): boolean {
  const id = segmentIdOf(name)
  if (id !== undefined) return name === layout.segment(source, id)
  const [place = '', ...rest] = name.slice(source.length + 1).split('/')
  const [last = '', deeper] = rest
  return deeper === undefined && knownNames.get(place)?.(source, last) === true
}

const isRun = (source: string, name: string) =>
  name.startsWith(`${source}.`) && /^\.\d{8}T\d{6}Z\.[0-9a-f]{4}$/.test(name.slice(source.length))
const isRunAndTime = (source: string, name: string) => {
  const match = /^(.+)\.(\d{1,15})\.json$/.exec(name)
  return match?.[1] !== undefined && isRun(source, match[1]) && timeIn(match[2]) !== undefined
}

/** What is called how, below the folders of a source. */
const knownNames: ReadonlyMap<string, (source: string, name: string) => boolean> = new Map([
  ['aside', (_, name) => /^[0-9a-f]{64}\.\d{1,15}$/.test(name)],
  ['backups', (source, name) => name.endsWith('.json') && isRun(source, name.slice(0, -5))],
  ['runs', (source, name) => name.endsWith('.json') && isRun(source, name.slice(0, -5))],
  ['keeps', isRunAndTime],
  ['proofs', isRunAndTime],
  ['sweeps', (_, name) => /^\d{1,15}\.json$/.test(name)],
  ['scrubs', (_, name) => scrubOf(`/scrubs/${name}`) !== undefined],
])
