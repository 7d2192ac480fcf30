import type { Explained, Explanation } from '@securyflex/shared/config'
import { columns } from '../output/print.ts'

/** The effective configuration for people: each value, and where it came from. */
export function explained(parts: Explanation): string {
  const { config, variables, destinations, limits, defaults, sources } = parts
  const set = variables.filter(({ from }) => from !== 'built in')
  return [
    `Configuration file: ${config.file ?? 'none'}`,
    ...section('Variables that are set (docs/configuration.md has all)', set),
    ...section('Destinations', destinations),
    ...section('Limits', limits),
    ...(sources.length === 0 ? section('A source that says nothing of itself', defaults) : []),
    ...sources.flatMap(({ name, group, connection, server, settings }) =>
      section(group ? `Source ${name}-*: every database of ${server}` : `Source ${name} on ${server}`, [
        connection,
        ...settings,
      ]),
    ),
  ].join('\n')
}

function section(title: string, rows: readonly Explained[]): string[] {
  if (rows.length === 0) return []
  const table = columns(rows.map(({ setting, value, from }) => [setting, value, from]))
  return ['', `${title}:`, ...table.split('\n').map((line) => `  ${line}`)]
}
