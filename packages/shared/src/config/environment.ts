import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { systemCode } from '@securyflex/shared/errors'
import { parse } from 'dotenv'
import { nearest } from './nearest.ts'
import type { Problem } from './problem.ts'
import { unbuiltFeature } from './unbuilt.ts'
import { variables } from './variables.ts'

/** Variables by name; empty ones are not set. */
export type Environment = Readonly<Record<string, string>>

/** The file of variables in the working directory. */
export const dotenvName = '.env'

const ours = /^(?:BACKUP|DASHBOARD|WORKER)_/
const withFile = Object.entries(variables).filter(([, { secret }]) => secret)
const known = [...Object.keys(variables), ...withFile.map(([name]) => `${name}_FILE`)]

/**
 * The environment over `.env` of the working directory, as {@link readDotenv} gives it. A secret that the environment gives in either
 * form (`X` or `X_FILE`) hides both forms of `.env`.
 */
export function readEnvironment(env: NodeJS.ProcessEnv, dotenv: Dotenv): Environment {
  const fromFile = new Map(dotenv)
  for (const [name] of withFile) {
    const forms = [name, `${name}_FILE`]
    if (forms.some((form) => env[form])) for (const form of forms) fromFile.delete(form)
  }
  const merged = { ...Object.fromEntries(fromFile), ...env }
  const set = Object.entries(merged).filter((entry): entry is [string, string] => Boolean(entry[1]?.trim()))
  return Object.fromEntries(set)
}

/** What `.env` says; nothing where there is none. */
export type Dotenv = ReadonlyMap<string, string>

/** @param instead what is read in place of what stands there */
export function readDotenv(directory: string, problems: Problem[], instead?: string): Dotenv {
  const path = join(directory, dotenvName)
  try {
    return new Map(Object.entries(parse(instead ?? readFileSync(path))))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return new Map()
    problems.push({
      variable: dotenvName,
      what: `${path} cannot be read (${systemCode(error) ?? String(error)})`,
      remedy: `Make it a file that this user may read, or remove it.`,
      code: 'CONFIG_INVALID',
    })
    return new Map()
  }
}

/** Variables with one of our prefixes that mean nothing, or nothing yet. */
export function findForeign(environment: Environment): Problem[] {
  const strangers = Object.keys(environment).filter((name) => ours.test(name) && !known.includes(name))
  return strangers.map((variable) => {
    const base = variable.replace(/_FILE$/, '')
    if (base !== variable && known.includes(base)) {
      const remedy = `Set ${base} itself, and unset ${variable}.`
      return {
        variable,
        what: `only secrets are read from files, and ${base} is none`,
        remedy,
        code: 'CONFIG_INVALID',
      }
    }
    const feature = unbuiltFeature(variable)
    const what = feature === undefined ? 'there is no such variable' : `${feature} is not built yet`
    const remedy =
      feature === undefined
        ? `The nearest known is ${nearest(variable, known)}; correct the name or unset it.`
        : `Unset it: unset ${variable}, or remove its line from .env.`
    return { variable, what, remedy, code: 'CONFIG_INVALID' }
  })
}

/** A variable as it was given. */
export interface Given {
  readonly text: string
  /** By `<NAME>_FILE`: then a list has one entry on each line. */
  readonly fromFile: boolean
}

/** A variable: its own text, or for a secret that of the file which `<NAME>_FILE` names, without its last newline. */
export function readVariable(
  name: string,
  secret: boolean,
  environment: Environment,
  directory: string,
  problems: Problem[],
): Given | undefined {
  const own = environment[name]
  const file = secret ? environment[`${name}_FILE`] : undefined
  if (file === undefined) return own === undefined ? undefined : { text: own.trim(), fromFile: false }
  const report = (variable: string, what: string, remedy: string): undefined => {
    problems.push({ variable, what, remedy, code: 'CONFIG_INVALID' })
  }
  if (own !== undefined) {
    report(name, `it is set, and so is ${name}_FILE`, `Unset one of the two: unset ${name}.`)
    return undefined
  }
  try {
    const text = readFileSync(resolve(directory, file), 'utf8').replace(/\r?\n$/, '')
    if (text.trim() !== '') return { text, fromFile: true }
    report(`${name}_FILE`, `${file} is empty`, 'Write the value into the file.')
  } catch (error) {
    const why = systemCode(error) ?? String(error)
    report(
      `${name}_FILE`,
      `${file} cannot be read (${why})`,
      'Correct the path, or the permissions of the file.',
    )
  }
  return undefined
}
