/**
 * The line that makes the dashboard of a remote machine reachable from one's own, typed there; undefined
 * outside of an ssh session. sshd sets SSH_CONNECTION to client address and port, server address and port
 * (sshd(8), ENVIRONMENT); the server's address may be one that only its own network knows.
 *
 * @param sshConnection the value of SSH_CONNECTION
 * @param port where the dashboard listens on loopback
 * @param user who is logged in
 * @param at the loopback address where it listens
 */
export function tunnelHint(
  sshConnection: string | undefined,
  port: number,
  user = 'user',
  at = '127.0.0.1',
): string | undefined {
  const [, , server, serverPort] = sshConnection?.trim().split(/\s+/) ?? []
  if (server === undefined || serverPort === undefined) return undefined
  const otherPort = serverPort === '22' ? '' : ` -p ${serverPort}`
  return `ssh${otherPort} -L ${port}:${at.includes(':') ? `[${at}]` : at}:${port} ${user}@${server}`
}
