import { writeFile } from 'node:fs/promises'
import { expect } from '@jest/globals'
import type { RunReport } from '@securyflex/shared/history'
import { type Gate, startGate } from './gate.ts'
import { startGcsServer } from './gcs-protocol-server.ts'
import { type Installation, startInstallation } from './installation.ts'
import { type Restoration, restoreLatest } from './round-trip.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** An installation whose backups go to a directory, `local`, and through a gate to a store, `far`. */
export interface TwoPlaces extends AsyncDisposable {
  readonly installation: Installation
  readonly gate: Gate
  /** Asks for a run, and gives its report once it has ended. */
  backUp(limit?: number): Promise<RunReport>
  /** Restores the latest backup that `place` alone has, or `run`, into a new database, which is then removed. */
  restoreFrom(place: 'local' | 'far', run?: string): Promise<Restoration>
}

/** @param patience seconds that a connection to `far` may be silent */
export async function startTwoPlaces(
  patience: number,
  env: Readonly<Record<string, string>> = {},
): Promise<TwoPlaces> {
  const directory = await temporaryDirectory()
  const store = await startGcsServer()
  const gate = await startGate(store.port)
  const local = `  local: { kind: local, directory: ${directory.join('repository')} }`
  const far = (url: string, seconds: number) =>
    `  far: { kind: gcs, bucket: ${store.bucket}, endpoint: "${url}", allowHttp: true, patienceSeconds: ${String(seconds)}, credentials: "\${FAR_KEY}" }`
  const configured = async (name: string, ...destinations: string[]) => {
    const file = directory.join(`${name}.yaml`)
    await writeFile(file, ['destinations:', ...destinations, ''].join('\n'))
    return { BACKUP_CONFIG: file }
  }
  const both = await configured('both', local, far(gate.url, patience))
  const alone = {
    local: await configured('local', local),
    far: await configured('far', far(store.url, 60)),
  }
  // No worker is killed here, and one that waits for a store on a busy machine must not count as dead.
  const patient = { WORKER_LOCK_DURATION: '30000', WORKER_STALLED_INTERVAL: '15000' }
  const installation = await startInstallation({ ...both, FAR_KEY: store.account(), ...patient, ...env })
  return {
    installation,
    gate,
    async backUp(limit) {
      const run = await installation.request()
      await installation.ended(run, limit)
      const report = await installation.report(run)
      if (report === undefined) throw new Error(`There is no report of ${run}.`)
      return report
    },
    async restoreFrom(place, run = 'latest') {
      const to = `${installation.database.name}_${place}`
      try {
        return await restoreLatest({ env: { ...installation.env, ...alone[place] } }, to, run)
      } finally {
        await installation.database.query(`DROP DATABASE IF EXISTS "${to}" WITH (FORCE)`)
      }
    },
    async [Symbol.asyncDispose]() {
      await installation[Symbol.asyncDispose]()
      await gate[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
      await directory.remove()
    },
  }
}

/** What a report says of the two places. */
export function standing({ outcome, destinations }: RunReport) {
  const of = (name: string) => destinations.find((one) => one.name === name)?.outcome
  return { outcome, local: of('local'), far: of('far') }
}

/** A run that is good at `local` and left `far` out, saying why. */
export function expectWithoutFar(report: RunReport, why: RegExp): void {
  expect(standing(report)).toEqual({ outcome: 'degraded', local: 'verified', far: 'failed' })
  expect(report.destinations.find(({ name }) => name === 'far')?.reason).toMatch(why)
  expect(report.reason).toMatch(why)
}
