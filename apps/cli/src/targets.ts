import { type Config, type Connection, groupOf, parseConnection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'

/** The server to restore to: the one that is named, else the source's own. @throws CONFIG_INVALID */
export function targetOf(config: Config, url: string | undefined, source?: string): Connection {
  if (url !== undefined) return parseConnection(url).connection
  const own =
    config.sources.find(({ name }) => name === source) ??
    groupOf(config, source ?? '') ??
    config.sources[0] ??
    config.groups[0]
  if (own !== undefined) return own.connection
  throw new BackupError('CONFIG_INVALID', 'No server is named to restore to.', {
    hint: 'Set for example DATABASE_URL=postgresql://postgres@localhost:5432/postgres, or add --target-url with that.',
  })
}

/** `user@host:port`, without what is secret. */
export function serverOf({ hosts, user }: Connection): string {
  return `${user}@${hosts.map(({ host, port }) => `${host}:${String(port)}`).join(',')}`
}
