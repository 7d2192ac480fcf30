import { BackupError } from '@securyflex/shared/errors'
import type { Finding, Scrubbed } from './scrubbing.ts'

/** Backups that are named in an error. */
const mostNamed = 5

const codeOf = {
  missing: 'SEGMENT_MISSING',
  truncated: 'SEGMENT_TRUNCATED',
  altered: 'SEGMENT_TAMPERED',
} as const

/** What touches a backup and could not be mended. */
export function unhealedOf({ findings }: Scrubbed): readonly Finding[] {
  return findings.filter(({ backups, fate }) => backups > 0 && fate.outcome !== 'healed')
}

/**
 * What is wrong still at one place after a scrub: backups of the source that miss segments there, or whose manifests
 * cannot be read. Undefined if all is good by now.
 */
export function scrubProblem(
  scrubbed: Scrubbed,
  source: string,
  destination: string,
): BackupError | undefined {
  const unhealed = unhealedOf(scrubbed)
  const [first] = unhealed
  if (first !== undefined) {
    const segments = unhealed.length === 1 ? '1 segment' : `${String(unhealed.length)} segments`
    const what = `${segments} of ${source} at ${destination} could not be healed from another destination`
    return new BackupError(codeOf[first.what], `${what}: ${backupsOf(scrubbed.unhealed)} incomplete there.`, {
      hint: `Type: npm run backup, which stores again what the database still holds; then: npx --no securyflex-backup scrub ${source} --destination ${destination}`,
    })
  }
  return scrubbed.unreadable[0]?.problem
}

function backupsOf(runs: readonly string[]): string {
  const named = runs.slice(0, mostNamed).join(', ')
  const more = runs.length > mostNamed ? ` and ${String(runs.length - mostNamed)} more backups` : ''
  return `${named}${more} ${runs.length === 1 ? 'is' : 'are'}`
}

/** What became of a segment, for people: `healed from offsite`. */
export function describeFate({ fate, what }: Pick<Finding, 'fate' | 'what'>): string {
  switch (fate.outcome) {
    case 'healed':
      return `healed from ${fate.from}`
    case 'aside':
      return 'set aside: the next run stores it again if the database still holds it'
    case 'missing':
      return 'no other destination has it: the next run stores it again if the database still holds it'
    case 'stays':
      return `${what === 'missing' ? 'not stored' : 'left'} there: ${fate.why}`
    case 'whole':
      return 'whole again'
  }
}
