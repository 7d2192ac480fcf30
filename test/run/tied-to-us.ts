import { existsSync } from 'node:fs'

/**
 * The command line that makes a server end with the process that starts it, whatever happens to that one, and that runs
 * it as another user where one is given. setpriv(1) is Linux's; elsewhere a killed test run leaves its servers.
 */
export function tiedToUs(
  command: readonly [string, ...string[]],
  owner?: { readonly uid: number; readonly gid: number },
): [string, ...string[]] {
  const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path))
  if (!setpriv) {
    if (owner) throw new Error('setpriv (util-linux) is needed to run PostgreSQL when the tests run as root.')
    return [...command]
  }
  const user = owner ? [`--reuid=${String(owner.uid)}`, `--regid=${String(owner.gid)}`, '--clear-groups'] : []
  return [setpriv, '--pdeathsig', 'KILL', ...user, '--', ...command]
}
