import { delimiter } from 'node:path'
import { variables, type VariableName } from './variables.ts'

type Settings = Readonly<Partial<Record<VariableName, string>>>

/** The environment for a process of this product that goes on with this one's configuration, but for `changes`. */
export function inheritedEnvironment(changes: Settings = {}): NodeJS.ProcessEnv {
  const files = Object.keys(changes).map((name) => `${name}_FILE`)
  return { ...process.env, ...unset(files), ...changes }
}

/**
 * The environment for a process of this product that is configured by `settings` alone, whatever the environment
 * or `.env` say: every variable of ours is set, to nothing where it keeps its default. Those named in `kept` stay.
 */
export function separateEnvironment(
  settings: Settings,
  kept: readonly VariableName[] = [],
): NodeJS.ProcessEnv {
  const others = Object.keys(variables).filter((name) => !(kept as readonly string[]).includes(name))
  return { ...process.env, ...unset(others.flatMap((name) => [name, `${name}_FILE`])), ...settings }
}

/** Empty counts as not set, and hides what `.env` says. */
function unset(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, '']))
}

/** Where this user's programs are looked for. */
export function searchPath(): readonly string[] {
  return (process.env['PATH'] ?? '').split(delimiter).filter((entry) => entry !== '')
}
