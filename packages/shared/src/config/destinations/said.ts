import type { Environment } from '../environment.ts'
import type { FileDestination } from '../file/grammar.ts'

/** What somebody said of a destination, in the file or by variables, and how to say what is wrong with it. */
export interface Said {
  readonly name: string
  readonly settings: FileDestination
  readonly environment: Environment
  /** The working directory. */
  readonly directory: string
  /** `key` is undefined where something is missing as a whole. */
  readonly refuse: (key: SettingName | undefined, what: string, remedy: string) => void
}

export type SettingName = keyof FileDestination
export type Kind = FileDestination['kind']

/** Settings that every kind has. */
const common = ['kind', 'uploads', 'bandwidth'] as const
const cloud = [...common, 'prefix', 'endpoint', 'allowHttp', 'storageClass', 'patienceSeconds'] as const

/** The settings of each kind; any other is a mistake that is told. */
export const settingsOf: Readonly<Record<Kind, readonly SettingName[]>> = {
  local: [...common, 'directory'],
  s3: [
    ...cloud,
    ...(['bucket', 'region', 'pathStyle', 'encryption', 'kmsKey', 'customerKey', 'objectLock'] as const),
    ...(['checksums', 'conditionalWrites', 'accessKeyId', 'secretAccessKey', 'sessionToken'] as const),
    'profile',
  ],
  azure: [...cloud, 'container', 'account', 'accountKey', 'connectionString', 'sas', 'identity'],
  gcs: [...cloud, 'bucket', 'credentials'],
}

/** Settings that are never shown. */
export const secretSettings: readonly SettingName[] = [
  ...(['customerKey', 'secretAccessKey', 'sessionToken'] as const),
  ...(['accountKey', 'connectionString', 'sas', 'credentials'] as const),
]

/** Milliseconds; see `patienceSeconds` of the grammar. */
const usualPatience = 60_000

/** What all kinds in a cloud read alike. */
export function cloudSettings({ name, settings }: Said) {
  const { prefix = '', patienceSeconds, uploads, bandwidth } = settings
  const patience = patienceSeconds === undefined ? usualPatience : patienceSeconds * 1000
  return { name, prefix, patience, ...limits({ uploads, bandwidth }) }
}

export function limits({ uploads, bandwidth }: Pick<FileDestination, 'uploads' | 'bandwidth'>) {
  return {
    ...(uploads === undefined ? {} : { uploads }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
  }
}

/** The address without a slash at its end; plain HTTP only where somebody said so. */
export function endpointOf(said: Said, text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  if (text.startsWith('http://') && said.settings.allowHttp !== true) {
    const key = said.settings.endpoint === undefined ? 'connectionString' : 'endpoint'
    said.refuse(
      key,
      'it is plain HTTP: whoever is on the way can read, change and remove what passes',
      'Write https://, or allow it for a network of your own: allowHttp: true.',
    )
  }
  return text.replace(/\/+$/, '')
}
