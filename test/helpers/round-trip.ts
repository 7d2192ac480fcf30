import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect } from '@jest/globals'
import type { Installation } from './installation.ts'

const run = promisify(execFile)
const main = resolve(import.meta.dirname, '../../apps/cli/src/main.ts')

/** How long a run of a test may take, in ms. */
const limit = 300_000

/** Runs a command of the product as a process of its own, with the installation's settings alone. */
export async function command(
  installation: Pick<Installation, 'env'>,
  ...args: readonly string[]
): Promise<{ stdout: string; stderr: string }> {
  const inherited = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' }
  return run(process.execPath, [main, ...args], {
    env: { ...inherited, ...installation.env },
    maxBuffer: 64 * 1024 * 1024,
  })
}

/** Backs the source up with a worker process, and restores it into the new database `to` with another one. */
export async function roundTrip(installation: Installation, to: string): Promise<Restoration> {
  await backUp(installation)
  return await restoreLatest(installation, to)
}

/** Backs the source up with a worker process, and gives the run's id. */
export async function backUp(installation: Installation): Promise<string> {
  await using worker = await installation.startWorker()
  const run = await installation.request()
  const job = await installation.ended(run, limit)
  expect(job.failedReason).toBeFalsy()
  expect(job.returnvalue).toMatchObject({ outcome: 'success' })
  await worker.kill('SIGTERM')
  return run
}

/** Restores the latest backup, or what else is named first, into the new database `to`. */
export async function restoreLatest(
  installation: Pick<Installation, 'env'>,
  to: string,
  ...more: readonly string[]
): Promise<Restoration> {
  const what = more[0]?.startsWith('-') === false ? more : ['latest', ...more]
  const { stdout } = await command(installation, 'restore', ...what, '--to', to, '--yes', '--json')
  return JSON.parse(stdout) as Restoration
}

/** What `restore --json` prints, as far as tests look at it. */
export interface Restoration {
  /** Without a fingerprint there is none. */
  readonly comparison?: {
    readonly compared: Readonly<Record<string, number>>
    readonly differences: readonly string[]
    readonly notes: readonly string[]
  }
  readonly properties: { readonly applied: number; readonly refused: readonly unknown[] }
}
