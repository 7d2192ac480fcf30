import { type Config, reloadOnHangup } from '@securyflex/shared/config'
import { startDashboard, type StartOptions } from './start.ts'

/**
 * Serves the dashboard until `stopped`; at SIGHUP it reads its configuration again and starts anew at the same place.
 * @throws what {@link startDashboard} throws
 */
export async function serveDashboard(
  config: Config,
  stopped: Promise<unknown>,
  options: StartOptions = {},
): Promise<void> {
  const lost = Promise.withResolvers<never>()
  let dashboard = await startDashboard(config, options)
  const stopReloading = reloadOnHangup(config, {
    apply: async (changed) => {
      await dashboard.close()
      try {
        dashboard = await startDashboard(changed, options)
      } catch (error) {
        lost.reject(error)
      }
    },
    say: (level, text) => {
      if (level !== 'info') process.stderr.write(`${text}\n`)
    },
  })
  await Promise.race([stopped, lost.promise])
  stopReloading()
  await dashboard.close()
}
