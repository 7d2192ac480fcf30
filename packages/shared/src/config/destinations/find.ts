import { join, resolve } from 'node:path'
import type { Environment } from '../environment.ts'
import type { FileDestination } from '../file/grammar.ts'
import type { ConfigurationFile } from '../file/read.ts'
import type { Problem } from '../problem.ts'
import type { Values, VariableName } from '../variables.ts'
import { azure } from './azure.ts'
import type { Destination } from './destination.ts'
import { gcs } from './gcs.ts'
import { s3 } from './s3.ts'
import { samePlaces } from './same-place.ts'
import { type Kind, limits, type Said, type SettingName, settingsOf } from './said.ts'

/** Where destinations are looked for. */
export interface Sought {
  readonly values: Values
  readonly environment: Environment
  readonly file: ConfigurationFile | undefined
  /** The working directory. */
  readonly directory: string
  /** `BACKUP_DIR`. */
  readonly home: string
}

/** The name of the destination that `BACKUP_CLOUD_…` describe. */
const cloudName = 'cloud'

/**
 * Those of the file, the one of `BACKUP_CLOUD_…`, and `repository` in `BACKUP_DIR`, which is left out where the file
 * names others or `BACKUP_LOCAL` is false.
 */
export function findDestinations(sought: Sought, problems: Problem[]): readonly Destination[] {
  const { values, file, directory, home, environment } = sought
  const named = Object.entries(file?.content.destinations ?? {})
  const wantsLocal = values.BACKUP_LOCAL ?? named.length === 0
  const local: Destination[] = wantsLocal
    ? [{ kind: 'local', name: 'local', directory: join(home, 'repository') }]
    : []
  const cloud = ofEnvironment(sought, problems)
  const ofFile = named.flatMap(([name, settings]) => {
    const refuse: Said['refuse'] = (key, what, remedy) => {
      file?.refuse(['destinations', name, ...(key === undefined ? [] : [key])], what, remedy)
    }
    return build({ name, settings, environment, directory, refuse }) ?? []
  })
  for (const { name } of [...local, ...cloud]) {
    if (!named.some(([other]) => other === name)) continue
    const whose = name === cloudName ? 'BACKUP_CLOUD_PROVIDER' : 'BACKUP_LOCAL'
    file?.refuse(['destinations', name], `${whose} has a destination of that name, too`, 'Rename this one.')
  }
  const all = [...local, ...cloud, ...ofFile]
  for (const { name, other, how } of samePlaces(all)) {
    const remedy = 'Choose another place, or remove one of the two: a copy in the same place is none.'
    file?.refuse(['destinations', name], `it is ${how} “${other}”`, remedy)
  }
  if (all.length === 0 && problems.length === 0) {
    const what = 'it is false, and there is no other destination'
    const remedy = 'Unset it, or set BACKUP_CLOUD_PROVIDER and BACKUP_CLOUD_BUCKET.'
    problems.push({ variable: 'BACKUP_LOCAL', what, remedy, code: 'CONFIG_INVALID' })
  }
  return all
}

const builders: Readonly<Record<Kind, (said: Said) => Destination | undefined>> = { local, s3, azure, gcs }

/** A destination of what was said; undefined, and the reason told, if it cannot be one. */
function build(said: Said): Destination | undefined {
  const { kind } = said.settings
  const known = settingsOf[kind]
  const strangers = (Object.keys(said.settings) as SettingName[]).filter(
    (key) => !known.includes(key) && said.settings[key] !== undefined,
  )
  for (const key of strangers) {
    const owners = (Object.keys(settingsOf) as Kind[]).filter((one) => settingsOf[one].includes(key))
    said.refuse(key, `a destination of kind ${kind} has no such setting`, remedyFor(key, owners))
  }
  return builders[kind](said)
}

function remedyFor(key: SettingName, owners: readonly Kind[]): string {
  return `Remove it, or write kind: ${owners.join(' or ')}; it is ${key} of that.`
}

function local({ name, settings, directory, refuse }: Said): Destination | undefined {
  if (settings.directory !== undefined) {
    return { kind: 'local', name, directory: resolve(directory, settings.directory), ...limits(settings) }
  }
  refuse('directory', 'it is missing', 'Write for example directory: /srv/backups.')
  return undefined
}

const kindOf = { aws: 's3', azure: 'azure', gcp: 'gcs' } as const

/** By which variable a setting is given; what has none is given by the provider's own variables, or in the file. */
const variableOf: Partial<Record<SettingName, VariableName>> = {
  bucket: 'BACKUP_CLOUD_BUCKET',
  container: 'BACKUP_CLOUD_BUCKET',
  region: 'BACKUP_CLOUD_REGION',
  prefix: 'BACKUP_CLOUD_PREFIX',
  endpoint: 'BACKUP_CLOUD_ENDPOINT',
  allowHttp: 'BACKUP_CLOUD_ALLOW_HTTP',
}

const ownVariable: Partial<Record<SettingName, string>> = {
  account: 'AZURE_STORAGE_ACCOUNT',
  connectionString: 'AZURE_STORAGE_CONNECTION_STRING',
  credentials: 'GOOGLE_APPLICATION_CREDENTIALS',
}

function ofEnvironment({ values, environment, directory }: Sought, problems: Problem[]): Destination[] {
  const provider = values.BACKUP_CLOUD_PROVIDER
  const report = (variable: string, what: string, remedy: string) => {
    problems.push({ variable, what, remedy, code: 'CONFIG_INVALID' })
  }
  if (provider === undefined) {
    const [stray] = Object.values(variableOf).filter((name) => values[name] !== undefined)
    if (stray !== undefined && environment['BACKUP_CLOUD_PROVIDER'] === undefined) {
      report(
        stray,
        'it is set, but BACKUP_CLOUD_PROVIDER is not',
        'Set BACKUP_CLOUD_PROVIDER=aws, azure or gcp.',
      )
    }
    return []
  }
  const kind = kindOf[provider]
  const bucket = values.BACKUP_CLOUD_BUCKET
  const settings: FileDestination = {
    kind,
    ...(kind === 'azure' ? { container: bucket } : { bucket }),
    ...(values.BACKUP_CLOUD_REGION === undefined ? {} : { region: values.BACKUP_CLOUD_REGION }),
    prefix: values.BACKUP_CLOUD_PREFIX,
    endpoint: values.BACKUP_CLOUD_ENDPOINT,
    allowHttp: values.BACKUP_CLOUD_ALLOW_HTTP,
  }
  // Azure's and Google's buckets know themselves where they are.
  if (kind !== 's3') delete settings.region
  const refuse: Said['refuse'] = (key, what, remedy) => {
    const variable = key === undefined ? undefined : (variableOf[key] ?? ownVariable[key])
    const told = key === undefined ? undefined : environmentRemedies[key]
    report(variable ?? 'BACKUP_CLOUD_PROVIDER', what, told ?? remedy)
  }
  return [build({ name: cloudName, settings, environment, directory, refuse }) ?? []].flat()
}

/** What to type where variables are meant, not lines of the file. */
const environmentRemedies: Partial<Record<SettingName, string>> = {
  bucket: 'Set for example BACKUP_CLOUD_BUCKET=company-backups.',
  container: 'Set for example BACKUP_CLOUD_BUCKET=backups, the name of the container.',
  endpoint: 'Write https://, or allow it for a network of your own: BACKUP_CLOUD_ALLOW_HTTP=true.',
  connectionString:
    'Have https:// in it, or allow it for a network of your own: BACKUP_CLOUD_ALLOW_HTTP=true.',
  account: 'Set for example AZURE_STORAGE_ACCOUNT=companybackups.',
}
