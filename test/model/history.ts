import fc from 'fast-check'
import type { Retention } from '@securyflex/shared/config'

/** What is done to an installation with two places, one after the other. */
export type Deed =
  | { readonly do: 'backup'; readonly to: To; readonly edits: readonly Edit[]; readonly alike: Alike }
  | { readonly do: 'prune'; readonly at: Place; readonly alike: Alike }
  /** A backup, and beside it prunes, a scrub or a copy at one of the places. */
  | {
      readonly do: 'both'
      readonly to: To
      readonly edits: readonly Edit[]
      readonly at: Place
      readonly beside: readonly Beside[]
      readonly alike: Alike
    }
  | {
      readonly do: 'keep' | 'release' | 'keep while pruning'
      readonly at: Place
      readonly which: number
      readonly alike: Alike
    }
  /** A backup of the other place comes here, too. */
  | { readonly do: 'copy'; readonly at: Place; readonly which: number; readonly alike: Alike }
  | { readonly do: 'scrub'; readonly at: Place; readonly share: number; readonly alike: Alike }
  | { readonly do: 'adopt'; readonly name: string; readonly alike: Alike }
  | { readonly do: 'wait'; readonly hours: number }
  | { readonly do: 'rot'; readonly at: Place; readonly which: number; readonly how: Rot }
  /** A manifest cannot be read for a while; then somebody brings all of them back. */
  | { readonly do: 'lose manifest'; readonly at: Place; readonly which: number }
  | { readonly do: 'mend manifests' }

export type Place = 0 | 1
/** The places that a run is to have its backup at. */
export type To = readonly Place[]
export type Beside = 'prune' | 'scrub' | 'copy'

/** What a deed and its processes depend on besides. */
export interface Alike {
  /** Of the chances it takes. */
  readonly seed: number
  /** How many of a thousand calls go wrong. */
  readonly faults: number
  /** After how many calls its first process is killed. */
  readonly killedAfter: number | undefined
  /** How many of a thousand calls are late, where several processes take turns. */
  readonly late: number
  /** Hours that pass while a backup is made. */
  readonly hours: number
  /** Whether the credentials may remove what is there. */
  readonly mayRemove: boolean
}

/** The piece of the database at `at` becomes the text of that number. */
export interface Edit {
  readonly at: number
  readonly becomes: number
}

/** What a stranger does to a segment; `swapped`: another whole one lies in its place. */
export type Rot = 'gone' | 'cut off' | 'altered' | 'swapped'

export interface History {
  readonly encrypted: boolean
  readonly retention: Retention
  readonly timeZone: string
  /** By how many minutes the clock of each place is ahead. */
  readonly ahead: readonly [number, number]
  readonly deeds: readonly Deed[]
}

/** Half of all processes are let alone: what goes wrong then is the product's own doing. */
const alike: fc.Arbitrary<Alike> = fc.record({
  seed: fc.nat({ max: 1e9 }),
  faults: fc.constantFrom(0, 0, 0, 10, 60),
  killedAfter: fc.option(fc.nat({ max: 90 }), { nil: undefined, freq: 1 }),
  late: fc.constantFrom(0, 20, 200),
  hours: fc.constantFrom(0, 0, 0, 20, 47, 50),
  mayRemove: fc.constantFrom(true, true, true, true, false),
})
/** Few pieces in few places: what was removed often comes back. */
const edit = fc.record({ at: fc.nat({ max: 4 }), becomes: fc.nat({ max: 6 }) })
const edits = fc.array(edit, { maxLength: 3 })
const which = fc.nat({ max: 30 })
const at = fc.constantFrom<Place>(0, 0, 1)
const to = fc.constantFrom<To>([0], [0], [0, 1], [0, 1], [1])
const beside = fc.constantFrom<readonly Beside[]>(
  ['prune'],
  ['prune'],
  ['prune', 'prune'],
  ['scrub'],
  ['scrub', 'prune'],
  ['copy'],
  ['copy', 'prune'],
)
const share = fc.constantFrom(1, 1, 0.3)
const so = <T extends string>(...names: T[]) => fc.constantFrom(...names)

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: so('backup'), to, edits, alike }) },
  { weight: 4, arbitrary: fc.record({ do: so('prune'), at, alike }) },
  { weight: 10, arbitrary: fc.record({ do: so('both'), to, edits, at, beside, alike }) },
  { weight: 6, arbitrary: fc.record({ do: so('keep', 'release', 'keep while pruning'), at, which, alike }) },
  { weight: 4, arbitrary: fc.record({ do: so('copy'), at, which, alike }) },
  { weight: 4, arbitrary: fc.record({ do: so('scrub'), at, share, alike }) },
  { weight: 1, arbitrary: fc.record({ do: so('adopt'), name: so('east', 'west'), alike }) },
  {
    weight: 10,
    arbitrary: fc.record({ do: so('wait'), hours: fc.constantFrom(24, 119, 121, 167, 169, 400) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: so('rot'), at, which, how: so<Rot>('gone', 'cut off', 'altered', 'swapped') }),
  },
  { weight: 2, arbitrary: fc.record({ do: so('lose manifest'), at, which }) },
  { weight: 2, arbitrary: fc.record({ do: so('mend manifests') }) },
)

const minimum = fc.integer({ min: 1, max: 2 })
const rule = (most: number) => fc.option(fc.integer({ min: 1, max: most }), { nil: undefined, freq: 1 })
const none = {
  days: undefined,
  last: undefined,
  daily: undefined,
  weekly: undefined,
  monthly: undefined,
  yearly: undefined,
}

const retention: fc.Arbitrary<Retention> = fc.oneof(
  fc.record({ minimum }).map((rules) => ({ ...none, ...rules })),
  fc.record({ days: fc.integer({ min: 1, max: 10 }), minimum }).map((rules) => ({ ...none, ...rules })),
  fc.record({
    days: rule(20),
    last: rule(3),
    daily: rule(4),
    weekly: rule(3),
    monthly: rule(2),
    yearly: rule(1),
    minimum,
  }),
)

const minutes = fc.constantFrom(0, 0, -25, 25)

export const histories: fc.Arbitrary<History> = fc.record({
  encrypted: fc.integer({ min: 0, max: 3 }).map((chance) => chance === 0),
  retention,
  timeZone: fc.constantFrom('UTC', 'Europe/Amsterdam', 'Pacific/Apia'),
  ahead: fc.tuple(minutes, minutes),
  deeds: fc.array(deed, { minLength: 3, maxLength: 14, size: 'max' }),
})
