import { startDashboard } from '@securyflex/dashboard'
import { loadConfig } from '@securyflex/shared/config'
import { asBackupError, describe } from '@securyflex/shared/errors'

try {
  await using _dashboard = await startDashboard(loadConfig({ needs: ['redis'] }))
  await new Promise((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
} catch (error) {
  process.stderr.write(`${describe(error)}\n`)
  process.exitCode = asBackupError(error).exitStatus
}
