import { startDashboard } from '@securyflex/dashboard'
import { loadConfig, reloadOnHangup } from '@securyflex/shared/config'
import { asBackupError, describe } from '@securyflex/shared/errors'

// Heard from the beginning, so that one that comes while the dashboard starts closes it, too.
const stopped = new Promise((resolve) => {
  process.once('SIGINT', resolve)
  process.once('SIGTERM', resolve)
})

try {
  const config = loadConfig({ needs: ['redis'] })
  const lost = Promise.withResolvers<never>()
  let dashboard = await startDashboard(config)
  reloadOnHangup(config, {
    apply: async (changed) => {
      await dashboard.close()
      try {
        dashboard = await startDashboard(changed)
      } catch (error) {
        lost.reject(error)
      }
    },
    say: (level, text) => {
      if (level !== 'info') process.stderr.write(`${text}\n`)
    },
  })
  await Promise.race([stopped, lost.promise])
  await dashboard.close()
} catch (error) {
  process.stderr.write(`${describe(error)}\n`)
  process.exitCode = asBackupError(error).exitStatus
}
