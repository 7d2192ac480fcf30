import { Secret } from '@securyflex/shared/errors'
import type { AzureCredentials, AzureDestination } from './destination.ts'
import { cloudSettings, endpointOf, type Said } from './said.ts'

export function azure(said: Said): AzureDestination | undefined {
  const { container, storageClass } = said.settings
  if (container === undefined) {
    said.refuse('container', 'it is missing', 'Write for example container: backups.')
    return undefined
  }
  if (storageClass?.toLowerCase() === 'archive') {
    const what = 'what lies there cannot be read at once, and each backup is read back when it is made'
    said.refuse('storageClass', what, 'Write for example Cool or Cold.')
  }
  const account = accountOf(said)
  if (account === undefined) return undefined
  return { kind: 'azure', ...cloudSettings(said), container, storageClass, ...account }
}

type Account = Pick<AzureDestination, 'endpoint' | 'credentials'>

/**
 * What is named, in the order connection string, key, signature, identity. Where nothing is, the variables that
 * Azure's own command line reads count.
 */
function accountOf(said: Said): Account | undefined {
  const { settings, environment } = said
  const named = [settings.connectionString, settings.accountKey, settings.sas, settings.identity]
  if (named.filter((one) => one !== undefined).length > 1) {
    const what = 'it names more than one of connectionString, accountKey, sas and identity'
    said.refuse(undefined, what, 'Keep one of them.')
    return undefined
  }
  const ownAccount = settings.account !== undefined || settings.endpoint !== undefined
  const isOpen = named.every((one) => one === undefined) && !ownAccount
  const text =
    settings.connectionString ?? (isOpen ? environment['AZURE_STORAGE_CONNECTION_STRING'] : undefined)
  if (text !== undefined) return ofConnectionString(said, text)
  const account = settings.account ?? (settings.endpoint ? undefined : environment['AZURE_STORAGE_ACCOUNT'])
  const endpoint =
    endpointOf(said, settings.endpoint) ??
    (account === undefined ? undefined : `https://${account}.blob.core.windows.net`)
  if (endpoint === undefined) {
    said.refuse('account', 'it is missing', 'Write for example account: companybackups.')
    return undefined
  }
  const credentials = credentialsOf(said, account ?? accountIn(endpoint))
  return credentials === undefined ? undefined : { endpoint, credentials }
}

function credentialsOf(said: Said, account: string | undefined): AzureCredentials | undefined {
  const { accountKey, sas, identity } = said.settings
  const env = said.environment
  const key =
    accountKey ?? (sas === undefined && identity === undefined ? env['AZURE_STORAGE_KEY'] : undefined)
  if (key !== undefined) {
    if (account !== undefined) return { kind: 'key', account, key: new Secret(key) }
    said.refuse('account', 'it is missing', 'Write for example account: companybackups.')
    return undefined
  }
  const token = sas ?? (identity === undefined ? env['AZURE_STORAGE_SAS_TOKEN'] : undefined)
  if (token !== undefined) return signature(token)
  return { kind: 'identity', clientId: identity ?? env['AZURE_CLIENT_ID'] }
}

/** The signature is what is secret in it; its other parts may be shown. */
function signature(text: string): AzureCredentials {
  const sas = text.trim().replace(/^\?/, '')
  const signed = new URLSearchParams(sas).get('sig')
  return { kind: 'sas', sas: new Secret(sas, [sas, ...(signed === null ? [] : [signed])]) }
}

/** `DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…`, as the portal shows it. */
function ofConnectionString(said: Said, text: string): Account | undefined {
  const parts = new Map(
    text.split(';').flatMap((part): [string, string][] => {
      const at = part.indexOf('=')
      return at < 1 ? [] : [[part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim()]]
    }),
  )
  const account = parts.get('accountname')
  const suffix = parts.get('endpointsuffix') ?? 'core.windows.net'
  const protocol = parts.get('defaultendpointsprotocol') ?? 'https'
  const endpoint = endpointOf(
    said,
    parts.get('blobendpoint') ??
      (account === undefined ? undefined : `${protocol}://${account}.blob.${suffix}`),
  )
  const key = parts.get('accountkey')
  const sas = parts.get('sharedaccesssignature')
  if (endpoint !== undefined && sas !== undefined) return { endpoint, credentials: signature(sas) }
  const owner = account ?? accountIn(endpoint ?? '')
  if (endpoint !== undefined && key !== undefined && owner !== undefined) {
    return { endpoint, credentials: { kind: 'key', account: owner, key: new Secret(key) } }
  }
  const remedy = 'Copy it from “Access keys” or “Shared access signature” of the storage account.'
  said.refuse('connectionString', 'it names no account, or neither key nor signature', remedy)
  return undefined
}

/** `company` in `https://company.blob.core.windows.net`. */
function accountIn(endpoint: string): string | undefined {
  return /^https?:\/\/([a-z0-9]{3,24})\.blob\./.exec(endpoint)?.[1]
}
