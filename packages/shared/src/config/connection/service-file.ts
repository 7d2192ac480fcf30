import { readFileSync } from 'node:fs'
import { systemCode } from '@securyflex/shared/errors'
import { isKnown, reasonToDrop } from './parameters.ts'
import { type Environment, ownFile, systemServiceFiles } from './places.ts'
import { refusal, type Settings } from './refusal.ts'

/**
 * The settings of a service: from PGSERVICEFILE or `~/.pg_service.conf`, else from the machine's file
 * (https://www.postgresql.org/docs/current/libpq-pgservice.html). The first setting of a name counts.
 */
export function readService(service: string, file: string | undefined, env: Environment): Settings {
  const own = file ?? ownFile(env, '.pg_service.conf', '.pg_service.conf')
  for (const path of [own, ...systemServiceFiles(env)]) {
    const text = contents(path, file !== undefined && path === file)
    const settings = text === undefined ? undefined : readSection(text, service, path)
    if (settings !== undefined) return settings
  }
  throw refusal(
    `The connection service “${service}” is not defined.`,
    `Add a section [${service}] to ${own}, or name another service.`,
  )
}

function contents(path: string, wanted: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && !wanted) return undefined
    throw refusal(
      `The service file ${path} cannot be read (${systemCode(error) ?? 'unknown'}).`,
      'Correct PGSERVICEFILE or the permissions of the file.',
    )
  }
}

function readSection(text: string, service: string, path: string): Settings | undefined {
  const lines = text.split('\n').map((line) => line.trim())
  const start = lines.indexOf(`[${service}]`)
  if (start < 0) return undefined
  const settings: Settings = new Map()
  for (const [index, line] of lines.entries()) {
    if (index <= start || line === '' || line.startsWith('#')) continue
    if (line.startsWith('[')) break
    const equals = line.indexOf('=')
    const name = line.slice(0, Math.max(equals, 0))
    if (!isKnown(name) && reasonToDrop(name) === undefined) throw syntax(path, index)
    if (name === 'service' || name === 'servicefile') throw syntax(path, index)
    if (!settings.has(name)) settings.set(name, line.slice(equals + 1))
  }
  return settings
}

function syntax(path: string, index: number) {
  return refusal(
    `Line ${index + 1} of the service file ${path} is not a known name=value without spaces around the “=”.`,
    'Correct that line, for example host=db.example.com.',
  )
}
