import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { systemCode } from '@securyflex/shared/errors'
import type { Environment } from '../environment.ts'

/** A text with its variables filled in, or what is wrong with it. */
export type Substituted =
  | {
      readonly text: string
      /** What was filled in, by the variable's name. */
      readonly variables: Readonly<Record<string, string>>
      readonly problem?: undefined
    }
  | { readonly problem: { readonly what: string; readonly remedy: string } }

/**
 * Replaces `${NAME}` by the value of that variable, and `${NAME_FILE}` by what is in the file that it names, without
 * its last newline. Where only `NAME_FILE` is set, `${NAME}` means that, too. `$${` stands for `${` itself.
 */
export function substitute(text: string, environment: Environment, directory: string): Substituted {
  let problem: Substituted['problem']
  const variables: Record<string, string> = {}
  const filled = text.replaceAll(/\$(\$\{|\{([^}]*)\})/g, (_, rest: string, name: string | undefined) => {
    if (name === undefined) return rest
    const found = lookUp(name.trim(), environment, directory)
    if (found.problem === undefined) {
      variables[name.trim()] = found.text
      return found.text
    }
    problem ??= found.problem
    return ''
  })
  return problem === undefined ? { text: filled, variables } : { problem }
}

/** The value of one variable. */
type Found =
  { readonly text: string; readonly problem?: undefined } | Extract<Substituted, { problem: object }>

function lookUp(name: string, environment: Environment, directory: string): Found {
  if (!/^[A-Za-z_]\w*$/.test(name)) {
    const remedy = 'Write ${NAME}, or $${ where “${” itself is meant.'
    return { problem: { what: `“\${${name}}” names no variable`, remedy } }
  }
  const direct = environment[name]
  if (direct !== undefined)
    return name.endsWith('_FILE') ? readNamed(name, direct, directory) : { text: direct }
  const file = environment[`${name}_FILE`]
  if (file !== undefined) return readNamed(`${name}_FILE`, file, directory)
  const remedy = `Set it in the environment or in .env: ${name}=…, or ${name}_FILE=… with the path of a file.`
  return { problem: { what: `the variable ${name} is not set`, remedy } }
}

function readNamed(name: string, path: string, directory: string): Found {
  try {
    return { text: readFileSync(resolve(directory, path), 'utf8').replace(/\r?\n$/, '') }
  } catch (error) {
    const why = systemCode(error) ?? String(error)
    const remedy = `Correct the path in ${name}, or the permissions of the file.`
    return { problem: { what: `${name}: ${path} cannot be read (${why})`, remedy } }
  }
}
