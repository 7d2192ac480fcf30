import { existsSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'

/** The part of the environment that decides where libpq looks; a map in tests, the process's otherwise. */
export type Environment = Readonly<Record<string, string | undefined>>

const windows = process.platform === 'win32'

/** A file of the user's own, e.g. `~/.postgresql/root.crt`, or in `%APPDATA%\postgresql` on Windows. */
export function ownFile(env: Environment, unixName: string, windowsName: string): string {
  if (windows) return join(env['APPDATA'] ?? homedir(), 'postgresql', windowsName)
  return join(env['HOME'] || homedir(), unixName)
}

/**
 * Where libpq's build expects the server's socket: `/tmp` by default, `/var/run/postgresql` on Debian, Red Hat
 * and Alpine. The build cannot be asked, so a socket that exists decides, then a directory.
 */
export function socketDirectory(port: number): string {
  if (windows) return 'localhost'
  const candidates = ['/var/run/postgresql', '/tmp']
  const listening = candidates.find((directory) => existsSync(join(directory, `.s.PGSQL.${port}`)))
  return listening ?? candidates.find((directory) => existsSync(directory)) ?? '/tmp'
}

/** `pg_service.conf` of the whole machine, in the order in which it is looked for. */
export function systemServiceFiles(env: Environment): string[] {
  const directories = env['PGSYSCONFDIR']
    ? [env['PGSYSCONFDIR']]
    : ['/etc/postgresql-common', '/etc/sysconfig/pgsql', '/etc']
  return directories.map((directory) => join(directory, 'pg_service.conf'))
}

/** libpq's default user: that of the operating system. */
export function systemUser(): string {
  return userInfo().username
}
