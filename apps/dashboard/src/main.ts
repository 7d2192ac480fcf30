import { serveDashboard } from '@securyflex/dashboard'
import { loadConfig } from '@securyflex/shared/config'
import { asBackupError, describe } from '@securyflex/shared/errors'

// Heard from the beginning, so that one that comes while the dashboard starts closes it, too.
const stopped = new Promise((resolve) => {
  process.once('SIGINT', resolve)
  process.once('SIGTERM', resolve)
})

try {
  await serveDashboard(loadConfig({ needs: ['redis'] }), stopped)
} catch (error) {
  process.stderr.write(`${describe(error)}\n`)
  process.exitCode = asBackupError(error).exitStatus
}
