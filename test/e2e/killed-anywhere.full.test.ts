import { randomInt } from 'node:crypto'
import { afterAll, describe, expect, it } from '@jest/globals'
import { chances } from '../helpers/chances.ts'
import { type Ground, inWords, type KillPoint, Trials } from '../helpers/kill-trials.ts'

/**
 * A worker is killed before every effect that a run has, the first time and the second, and after those that
 * others see at once. The effects are those of an undisturbed run, observed here, so that the list is never stale.
 * Besides, workers are killed at random moments.
 *
 * The long run of the tests tries every twelfth of these points, beginning at one that its seed chooses; `npm run
 * test:kill` tries all. SECURYFLEX_TEST_KILL=<text> tries those whose title holds the text, SECURYFLEX_TEST_SEED
 * repeats a choice.
 */
const share = 12
const lanes = 3
const wanted = process.env['SECURYFLEX_TEST_KILL']
const seed = Number(process.env['SECURYFLEX_TEST_SEED'] ?? randomInt(1_000_000))
const randomRuns = wanted === undefined ? 10 : 40
const minute = 60_000

/** What others see as soon as it is done; what comes after another effect is before the next one. */
const seenAtOnce = /^(redis (add|moveTo)|file (rename|link|unlink|rm) |start |postgres )/

/** One run with its kills; tells whether the run came to where it was to be killed. */
interface Trial {
  readonly title: string
  readonly work: (trials: Trials) => Promise<boolean>
}

const trials = await Promise.all(Array.from({ length: lanes }, () => Trials.start()))
const [points, random] = [chosen(await discover()), chosen(randomTrials())]
const tried = tryAll([...points, ...random])

afterAll(async () => {
  await Promise.allSettled(tried.values())
  await Promise.all(trials.map((one) => one[Symbol.asyncDispose]()))
})

async function discover(): Promise<Trial[]> {
  const [one] = trials
  if (one === undefined) throw new Error('no lane')
  const seen = new Set<string>()
  const found: KillPoint[] = []
  for (const ground of ['a first run', 'a later run'] satisfies Ground[]) {
    for (const [name, times] of [...(await one.effects(ground))].sort()) {
      if (seen.has(name)) continue
      seen.add(name)
      for (const occurrence of times > 1 ? [1, 2] : [1]) {
        found.push({ ground, name, occurrence, when: 'before' })
        if (seenAtOnce.test(name)) found.push({ ground, name, occurrence, when: 'after' })
      }
    }
  }
  const all = found.map((point) => ({ title: inWords(point), work: (one: Trials) => one.killAt(point) }))
  return wanted === undefined ? all.filter((_, index) => index % share === seed % share) : all
}

function randomTrials(): Trial[] {
  return Array.from({ length: randomRuns }, (_, number) => ({
    title: `two or three times at random moments, number ${String(number)}`,
    work: (one) => one.killAtRandom(chances(`${String(seed)}.${String(number)}`)).then(() => true),
  }))
}

function chosen(all: Trial[]): Trial[] {
  return wanted === undefined || wanted === 'all' ? all : all.filter(({ title }) => title.includes(wanted))
}

/** Does all of them, several at a time; each has its result. */
function tryAll(list: readonly Trial[]): Map<Trial, Promise<boolean>> {
  const results = new Map(list.map((trial) => [trial, Promise.withResolvers<boolean>()]))
  const rest = [...results]
  const lane = async (one: Trials) => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
      const [trial, result] = next
      // Heard by the trial's test, whose turn may not have come.
      result.promise.catch(() => undefined)
      await trial.work(one).then(result.resolve, result.reject)
    }
  }
  for (const one of trials) void lane(one)
  return new Map([...results].map(([trial, { promise }]) => [trial, promise]))
}

describe(`a worker that is killed (seed ${String(seed)})`, () => {
  it.each([...points, ...random].map((trial) => [trial.title, trial] as const))(
    '%s leaves a run that another completes without help',
    async (_, trial) => {
      await tried.get(trial)
    },
    5 * minute,
  )

  it('comes to nearly all of the places where it is to be killed', async () => {
    const met = await Promise.all(points.map(async (point) => (await tried.get(point)) === true))
    const missed = points.filter((_, index) => met[index] !== true).map(({ title }) => title)
    expect(missed.length <= points.length / 10 ? [] : missed).toEqual([])
  })
})
