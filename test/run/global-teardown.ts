import { rmSync } from 'node:fs'
import { leftoverProcesses } from './leftover-processes.ts'
import { stopCluster } from './shared-cluster.ts'

/** Stops the shared PostgreSQL, then fails the run if any process that a test started still lives. */
export default async function globalTeardown(): Promise<void> {
  const run = process.env['SECURYFLEX_TEST_RUN'] ?? ''
  const directory = process.env['SECURYFLEX_TEST_DIR'] ?? ''
  await stopCluster()
  const leftovers = await leftoverProcesses(run, directory)
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  if (leftovers.length === 0) return
  const list = leftovers.map(({ pid, command }) => `  ${String(pid)} ${command}`).join('\n')
  throw new Error(`The tests left processes behind (still running):\n${list}`)
}
