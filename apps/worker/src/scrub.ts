import { findGroup, groupOf, settingsOf } from '@securyflex/shared/config'
import { asBackupError } from '@securyflex/shared/errors'
import { jobIds, type Results } from '@securyflex/shared/queue'
import {
  describeFate,
  type Finding,
  listSources,
  scrub,
  type Scrubbed,
  scrubProblem,
  unhealedOf,
} from '@securyflex/shared/repository'
import { spreadOf } from '@securyflex/shared/schedule'
import type { Storage } from '@securyflex/shared/storage'
import type { WorkerContext } from './context.ts'
import { storageOf } from './context.ts'
import { slotOf } from './slot.ts'
import type { StepCall, StepDefinition } from './step.ts'

/** Findings that are logged one by one. */
const mostLogged = 100

/** A slot of a schedule asks for a scrub of each destination; each reads back its share there. */
export const scrubStep: StepDefinition<'scrub'> = {
  step: 'scrub',
  work: (call) => {
    const { destination } = call.payload
    return destination === undefined ? askForAll(call) : scrubOne(call, destination)
  },
}

/**
 * Asks for the scrub of a source, or of each database of a group, at each of its destinations. The slot is in the
 * jobs' ids, so that asking twice is asking once.
 * @throws what a destination of a group said, after all others were asked for
 */
async function askForAll(call: StepCall<'scrub'>): Promise<Results['scrub']> {
  const { payload, config, queues, job, clock } = call
  const settings = settingsOf(config, payload.source)
  const { slot } = slotOf(job)
  let [asked, problem] = [0, undefined as unknown]
  for (const destination of settings.destinations) {
    try {
      for (const source of await sourcesAt(call, payload.source, destination)) {
        const wanted = { v: 1 as const, source, destination }
        const delay = Math.max(0, slot.getTime() + spreadOf(source, settings) - clock().getTime())
        await queues.add('scrub', jobIds.scrub(source, destination, slot), wanted, { delay })
        asked += 1
      }
    } catch (error) {
      call.signal.throwIfAborted()
      problem = error
    }
  }
  if (problem !== undefined) throw asBackupError(problem)
  return { asked }
}

/** The source itself; of a group, those of its databases that have backups there. */
async function sourcesAt(call: StepCall<'scrub'>, name: string, destination: string): Promise<string[]> {
  const { config } = call
  const group = findGroup(config, name)
  if (group === undefined) return [name]
  const stored = await listSources(storageOf(call, destination))
  const isOwn = (source: string) => config.sources.some((one) => one.name === source)
  return stored.filter((source) => groupOf(config, source) === group && !isOwn(source))
}

async function scrubOne(call: StepCall<'scrub'>, destination: string): Promise<Results['scrub']> {
  const { payload, keys, config, signal, clock } = call
  const { source } = payload
  const settings = settingsOf(config, source)
  const scrubbed = await scrub({
    storage: storageOf(call, destination),
    others: othersThan(call, destination, settings.destinations),
    source,
    keys,
    installation: config.installation,
    share: settings.scrub.share,
    now: clock(),
    signal,
    passed: (place) => call.passed(`scrub:${place}`),
  })
  tell(call, source, destination, scrubbed)
  const problem = scrubProblem(scrubbed, source, destination)
  if (problem !== undefined) throw problem
  return figuresOf(scrubbed)
}

/** The source's own destinations first; then any other, which may have its backups still. */
export function othersThan(
  { storages, config }: WorkerContext,
  destination: string,
  own: readonly string[],
): Storage[] {
  const names = new Set([...own, ...config.destinations.map(({ name }) => name)])
  names.delete(destination)
  return [...names].flatMap((name) => storages.get(name) ?? [])
}

/** Logs what a scrub found, and what became of it. */
export function tell(
  { logger }: WorkerContext,
  source: string,
  destination: string,
  scrubbed: Scrubbed,
): void {
  const { findings, unknown, unreadable, silent, keyRecords } = scrubbed
  for (const name of keyRecords) logger.warn(`${name} at ${destination} was damaged, and is healed.`)
  const unhealed = new Set<Finding>(unhealedOf(scrubbed))
  for (const finding of findings.slice(0, mostLogged)) {
    const { name, what, backups, runs } = finding
    const more = backups > runs.length ? ` and ${String(backups - runs.length)} more` : ''
    const touches = backups === 0 ? 'It is of no backup' : `It touches ${runs.join(', ')}${more}`
    const text = `${name} at ${destination} is ${what}. ${touches}; ${describeFate(finding)}.`
    if (unhealed.has(finding)) logger.error(text)
    else logger.warn(text)
  }
  if (findings.length > mostLogged) {
    logger.warn(
      `${String(findings.length - mostLogged)} more segments of ${source} at ${destination} are like that.`,
    )
  }
  for (const { run, problem } of unreadable) {
    logger.error(`The manifest of ${run} at ${destination} cannot be read: ${problem.message}`)
  }
  if (unknown.count > 0) {
    const names = unknown.names.slice(0, 5).join(', ')
    logger.warn(
      `${String(unknown.count)} objects of ${source} at ${destination} are no part of a repository, and are left alone: ${names}${unknown.count > 5 ? ', …' : ''}.`,
    )
  }
  for (const [name, why] of silent) {
    logger.warn(`${name} could not be asked for what is bad at ${destination}: ${why}`)
  }
}

function figuresOf({ shards, opened, bytes, findings, unknown }: Scrubbed): Results['scrub'] {
  const are = (what: Finding['what']) => findings.filter((one) => one.what === what).length
  const became = (outcome: Finding['fate']['outcome']) =>
    findings.filter(({ fate }) => fate.outcome === outcome).length
  return {
    ...{ shards, opened, bytes },
    ...{ missing: are('missing'), truncated: are('truncated'), altered: are('altered') },
    ...{ healed: became('healed'), aside: became('aside'), unknown: unknown.count },
  }
}
