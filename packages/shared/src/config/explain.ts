import type { Config, Source, SourceGroup, SourceSettings } from './config.ts'
import { type Destination, shownPlace } from './destinations/destination.ts'
import { secretSettings } from './destinations/said.ts'
import type { ConfigurationFile } from './file/read.ts'
import { load, type Loaded, type LoadOptions } from './load.ts'
import { retentionRules, saysRules } from './retention.ts'
import { settingTable } from './setting-table.ts'
import { type VariableName, variables } from './variables.ts'

/** A setting, what it came to, and who said so: a line of the file, a variable, or nobody. */
export interface Explained {
  readonly setting: string
  /** Never a secret. */
  readonly value: string
  /** `backup.config.yaml:7`, `BACKUP_CRON in .env`, `built in`. */
  readonly from: string
}

/** The effective configuration. */
export interface Explanation {
  readonly config: Config
  /** Variables of the environment and `.env`, in the order of the documentation. */
  readonly variables: readonly Explained[]
  readonly destinations: readonly Explained[]
  readonly limits: readonly Explained[]
  /** What a source gets that says nothing of itself. */
  readonly defaults: readonly Explained[]
  readonly sources: readonly ExplainedSource[]
}

/** A source or a group. */
export interface ExplainedSource {
  readonly name: string
  /** Whether it stands for every database of its server. */
  readonly group: boolean
  readonly connection: Explained
  readonly server: string
  readonly settings: readonly Explained[]
}

/** Reads the configuration and tells of each value where it came from. @throws as `loadConfig` does */
export function explainConfig(options: LoadOptions = {}): Explanation {
  const loaded = load(options)
  const { config, file } = loaded
  const given = origins(loaded, options.env ?? process.env)
  const ofFile = new Set(Object.keys(file?.content.sources ?? {}))
  const describe = (one: Source | SourceGroup, group: boolean): ExplainedSource => {
    const way = ofFile.has(one.name) ? ['sources', one.name] : undefined
    const said = way === undefined ? undefined : file?.content.sources?.[one.name]
    const where = said?.url === undefined ? 'server' : 'url'
    return {
      name: one.name,
      group,
      connection: {
        setting: way === undefined ? 'DATABASE_URL' : where,
        value: one.connection.shown,
        from: way === undefined ? given('DATABASE_URL') : (file?.place([...way, where]) ?? ''),
      },
      server: one.server,
      settings: explainSettings(one, file, way, given),
    }
  }
  return {
    config,
    variables: (Object.keys(variables) as VariableName[]).map((name) => explainVariable(name, loaded, given)),
    destinations: config.destinations.flatMap((one) => explainDestination(one, file, given)),
    limits: explainLimits(config, file),
    defaults: explainSettings(config.defaults, file, undefined, given),
    sources: [
      ...config.sources.map((one) => describe(one, false)),
      ...config.groups.map((one) => describe(one, true)),
    ],
  }
}

/** Who gave a variable: the environment, or `.env`; a secret perhaps by way of a file. */
function origins({ environment }: Loaded, env: NodeJS.ProcessEnv): (...names: VariableName[]) => string {
  return (...names) => {
    for (const name of names) {
      const set = [name, `${name}_FILE`].find((form) => environment[form] !== undefined)
      if (set !== undefined) return `${set} in ${env[set]?.trim() ? 'the environment' : '.env'}`
    }
    return 'built in'
  }
}

function explainVariable(
  name: VariableName,
  { environment, values, config }: Loaded,
  given: (...names: VariableName[]) => string,
): Explained {
  const { secret, shownDefault } = variables[name]
  const shown: Partial<Record<VariableName, string | undefined>> = {
    DATABASE_URL: config.sources[0]?.connection.shown,
    REDIS_URL: config.redis?.shown,
    BACKUP_WEBHOOK_URL: config.webhook?.shown,
  }
  const isSet = environment[name] !== undefined || environment[`${name}_FILE`] !== undefined
  const value = isSet && secret ? (shown[name] ?? '[secret]') : (environment[name] ?? plain(shownDefault))
  return { setting: name, value: values[name] === undefined && isSet ? '' : value, from: given(name) }
}

/** Where it is, and what the file says of it. */
function explainDestination(
  destination: Destination,
  file: ConfigurationFile | undefined,
  given: (...names: VariableName[]) => string,
): Explained[] {
  const { name, kind } = destination
  const said = file?.content.destinations?.[name]
  const variable = kind === 'local' ? 'BACKUP_DIR' : 'BACKUP_CLOUD_PROVIDER'
  const from = said === undefined ? given(variable) : file?.place(['destinations', name])
  // Its place shows what it is.
  const isShown = (key: string) => kind !== 'local' || (key !== 'kind' && key !== 'directory')
  const settings = Object.entries(said ?? {}).filter(([key, value]) => value !== undefined && isShown(key))
  return [
    { setting: name, value: shownPlace(destination), from: from ?? '' },
    ...settings.map(([key, value]) => ({
      setting: `${name}.${key}`,
      value: (secretSettings as readonly string[]).includes(key) ? '[secret]' : written(value),
      from: file?.place(['destinations', name, key]) ?? '',
    })),
  ]
}

const written = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

const plain = (text: string) => text.replaceAll('`', '')

function explainSettings(
  settings: SourceSettings,
  file: ConfigurationFile | undefined,
  own: readonly string[] | undefined,
  given: (...names: VariableName[]) => string,
): Explained[] {
  const ways = own === undefined ? [['defaults']] : [own, ['defaults']]
  return settingTable.map(({ path, variables: names, shown }) => {
    const keys = path.split('.')
    const way = ways
      .flatMap((one) => [[...one, ...keys], ...replacing(path, [...one, 'retention'], file)])
      .find((one) => at(file?.content, one) !== undefined)
    const from = way === undefined || file === undefined ? given(...names) : file.place(way)
    return { setting: path, value: shown(settings), from }
  })
}

/** Who names one rule of retention names all: what is not there has been replaced there. */
function replacing(
  path: string,
  retention: readonly string[],
  file: ConfigurationFile | undefined,
): (readonly string[])[] {
  const isRule = retentionRules.some((rule) => path === `retention.${rule}`)
  const said = at(file?.content, retention)
  return isRule && typeof said === 'object' && said !== null && saysRules(said) ? [retention] : []
}

function at(content: unknown, keys: readonly string[]): unknown {
  return keys.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined,
    content,
  )
}

function explainLimits({ limits }: Config, file: ConfigurationFile | undefined): Explained[] {
  const place = (...keys: string[]) => file?.place(keys) ?? ''
  return [
    ...(limits.runs === undefined
      ? []
      : [{ setting: 'limits.runs', value: String(limits.runs), from: place('limits', 'runs') }]),
    ...Object.entries(limits.servers).map(([name, runs]) => ({
      setting: `servers.${name}.runs`,
      value: String(runs),
      from: place('servers', name, 'runs'),
    })),
  ]
}
