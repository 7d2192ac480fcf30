import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { libpqEnvironment } from '@securyflex/shared/postgres'
import type { Stage } from './stage.ts'

/** What a shell pipeline works with: the database by libpq's variables, a passphrase, and a directory to write to. */
export function pipelinesOf({ connection, tools, directory }: Stage) {
  const libpq = libpqEnvironment(connection)
  const env = {
    ...libpq,
    PATH: `${tools.directory}:${libpq['PATH'] ?? ''}`,
    PASSPHRASE: randomBytes(24).toString('base64'),
    RESTIC_PASSWORD: randomBytes(24).toString('base64'),
    RESTIC_CACHE_DIR: join(directory, 'restic-cache'),
    HOME: directory,
  }
  return (script: string, cwd: string, more: Readonly<Record<string, string>> = {}) =>
    shell(script, cwd, { ...env, ...more })
}

export type Shell = ReturnType<typeof pipelinesOf>

/** The new way by hand. */
export const zstdPipeline =
  'pg_dump -Fc -Z0 | zstd -q -T2 -3 | openssl enc -aes-256-cbc -pbkdf2 -pass env:PASSPHRASE -out zstd.enc'
/** The scripts that this product replaces. */
export const gzipPipeline =
  'pg_dump | gzip -6 | openssl enc -aes-256-cbc -pbkdf2 -pass env:PASSPHRASE -out gzip.enc'

/** Runs a script in bash, which fails if any part of a pipeline does. @returns its output */
async function shell(script: string, cwd: string, env: Readonly<Record<string, string>>): Promise<string> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd, env: { ...env } })
  let [said, complained] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complained += text))
  const [status] = (await once(child, 'close')) as [number | null]
  if (status !== 0) throw new Error(`${script}\nfailed with status ${String(status)}: ${complained.trim()}`)
  return said
}
