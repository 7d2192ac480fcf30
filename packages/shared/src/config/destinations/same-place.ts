import { realpathSync } from 'node:fs'
import { systemCode } from '@securyflex/shared/errors'
import type { Destination } from './destination.ts'

/** A destination that is where one before it is. */
interface SamePlace {
  readonly name: string
  readonly other: string
  readonly how: 'the same place as' | 'inside' | 'around'
}

/** Each destination that is at the place of one before it, within it or around it: both would write one repository. */
export function samePlaces(destinations: readonly Destination[]): SamePlace[] {
  const places = destinations.map((one) => ({ name: one.name, place: placeOf(one) }))
  return places.flatMap(({ name, place }, at) => {
    for (const other of places.slice(0, at)) {
      const how = relationOf(place, other.place)
      if (how !== undefined) return [{ name, other: other.name, how }]
    }
    return []
  })
}

function relationOf(one: string, other: string): SamePlace['how'] | undefined {
  if (one === other) return 'the same place as'
  if (one.startsWith(other)) return 'inside'
  return other.startsWith(one) ? 'around' : undefined
}

/** What all names of a place's objects begin with, ending with a slash. */
function placeOf(destination: Destination): string {
  const { kind } = destination
  if (kind === 'local') return `${kind} ${realPath(destination.directory)}/`.replace(/\/+$/, '/')
  const { endpoint = '', prefix } = destination
  const bucket = kind === 'azure' ? destination.container : destination.bucket
  return `${kind} ${endpoint} ${bucket}/${prefix}`
}

/** Without symbolic links, where it is there already. */
function realPath(directory: string): string {
  try {
    return realpathSync(directory)
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return directory
  }
}
