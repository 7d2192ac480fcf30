import fc from 'fast-check'
import type { Retention } from '@securyflex/shared/config'

/** What is done to an installation, one after the other. */
export type Deed =
  | { readonly do: 'backup'; readonly edits: readonly Edit[]; readonly alike: Alike }
  | { readonly do: 'prune'; readonly alike: Alike }
  | { readonly do: 'both'; readonly edits: readonly Edit[]; readonly prunes: number; readonly alike: Alike }
  | { readonly do: 'keep' | 'release'; readonly which: number; readonly alike: Alike }
  | { readonly do: 'keep while pruning'; readonly which: number; readonly alike: Alike }
  | { readonly do: 'wait'; readonly hours: number }
  | { readonly do: 'rot'; readonly which: number; readonly how: Rot }
  /** A manifest cannot be read for a while; then somebody brings all of them back. */
  | { readonly do: 'lose manifest'; readonly which: number }
  | { readonly do: 'mend manifests' }

/** What a deed and its processes depend on besides. */
export interface Alike {
  /** Of the chances it takes. */
  readonly seed: number
  /** How many of a thousand calls go wrong. */
  readonly faults: number
  /** After how many calls its process is killed. */
  readonly killedAfter: number | undefined
  /** How many of a thousand calls are late, where several processes take turns. */
  readonly late: number
  /** Hours that pass while a backup is made. */
  readonly hours: number
}

/** The piece of the database at `at` becomes the text of that number. */
export interface Edit {
  readonly at: number
  readonly becomes: number
}

export type Rot = 'gone' | 'cut off' | 'altered'

export interface History {
  readonly encrypted: boolean
  readonly retention: Retention
  readonly timeZone: string
  readonly deeds: readonly Deed[]
}

/** Half of all processes are let alone: what goes wrong then is the product's own doing. */
const alike: fc.Arbitrary<Alike> = fc.record({
  seed: fc.nat({ max: 1e9 }),
  faults: fc.constantFrom(0, 0, 0, 10, 60),
  killedAfter: fc.option(fc.nat({ max: 90 }), { nil: undefined, freq: 1 }),
  late: fc.constantFrom(0, 20, 200),
  hours: fc.constantFrom(0, 0, 0, 20, 47, 50),
})
/** Few pieces in few places: what was removed often comes back. */
const edit = fc.record({ at: fc.nat({ max: 4 }), becomes: fc.nat({ max: 6 }) })
const edits = fc.array(edit, { maxLength: 3 })
const which = fc.nat({ max: 30 })

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('backup' as const), edits, alike }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('prune' as const), alike }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('both' as const),
      edits,
      prunes: fc.integer({ min: 1, max: 2 }),
      alike,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('keep' as const, 'release' as const, 'keep while pruning' as const),
      which,
      alike,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('wait' as const), hours: fc.constantFrom(24, 121, 169, 400) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('rot' as const),
      which,
      how: fc.constantFrom<Rot>('gone', 'cut off', 'altered'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose manifest' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mend manifests' as const) }) },
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

export const histories: fc.Arbitrary<History> = fc.record({
  encrypted: fc.integer({ min: 0, max: 3 }).map((chance) => chance === 0),
  retention,
  timeZone: fc.constantFrom('UTC', 'Europe/Amsterdam', 'Pacific/Apia'),
  deeds: fc.array(deed, { minLength: 3, maxLength: 14, size: 'max' }),
})
