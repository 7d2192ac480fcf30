import { resolve } from 'node:path'
import { Secret } from '@securyflex/shared/errors'
import { z } from 'zod'
import type { GcsCredentials, GcsDestination } from './destination.ts'
import { cloudSettings, endpointOf, type Said } from './said.ts'

export function gcs(said: Said): GcsDestination | undefined {
  const { bucket, storageClass } = said.settings
  if (bucket === undefined) {
    said.refuse('bucket', 'it is missing', 'Write for example bucket: company-backups.')
    return undefined
  }
  const endpoint = endpointOf(said, said.settings.endpoint)
  const credentials = credentialsOf(said)
  return { kind: 'gcs', ...cloudSettings(said), bucket, endpoint, storageClass, credentials }
}

const keyFile = z.looseObject({ type: z.string(), private_key: z.string().optional() })

/** A path, or the content of the file, which `${NAME_FILE}` gives. Google's library finds its own where none is named. */
function credentialsOf({ settings, environment, directory, refuse }: Said): GcsCredentials | undefined {
  const text = settings.credentials ?? environment['GOOGLE_APPLICATION_CREDENTIALS']
  if (text === undefined) return undefined
  if (!text.trimStart().startsWith('{')) return { kind: 'file', path: resolve(directory, text) }
  const parsed = keyFile.safeParse(fromJson(text))
  if (parsed.success) {
    const { private_key: key } = parsed.data
    return { kind: 'json', json: new Secret(text, [text, ...(key === undefined ? [] : [key])]) }
  }
  const remedy = 'Give the path of the key file, or its whole content by ${NAME} with NAME_FILE set.'
  refuse('credentials', 'it is not the JSON of a service account or a workload identity', remedy)
  return undefined
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
