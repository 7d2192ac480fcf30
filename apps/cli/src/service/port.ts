import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Config } from '@securyflex/shared/config'
import { BackupError, systemCode } from '@securyflex/shared/errors'

/**
 * Makes sure that the dashboard can listen, before anything is started. Other reasons why it could not are its
 * own to explain.
 * @throws PORT_IN_USE, naming the port and what to type
 */
export async function refuseBusyPort({ host, port }: Config['dashboard']): Promise<void> {
  const probe = createServer()
  try {
    probe.listen(port, host)
    await once(probe, 'listening')
    probe.close()
    await once(probe, 'close')
  } catch (error) {
    if (systemCode(error) !== 'EADDRINUSE') return
    throw new BackupError('PORT_IN_USE', `Port ${port} of ${host} is taken by another program.`, {
      hint: `Take another one for the dashboard: DASHBOARD_PORT=${port < 65_535 ? port + 1 : 3001} npm start`,
      cause: error,
    })
  }
}
