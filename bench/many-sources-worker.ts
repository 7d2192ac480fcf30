import { loadConfig, parseConnection } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import { startWorker } from '../apps/worker/src/worker.ts'

/** The worker as it is, for the many sources that `BENCH_SOURCES` names: a JSON object of connection strings. */
const urls = JSON.parse(process.env['BENCH_SOURCES'] ?? '{}') as Record<string, string>
const { BENCH_SOURCES: _, ...env } = process.env
const config = loadConfig({ env, needs: ['redis'] })
const sources = Object.entries(urls).map(([name, url]) => ({
  name,
  connection: parseConnection(url).connection,
}))
const logger = createLogger({ name: 'worker', directory: config.logs.directory, level: config.logs.level })
const worker = await startWorker({ ...config, sources }, logger)
process.once('SIGTERM', () => {
  void worker.close().then(() => logger.close())
})
