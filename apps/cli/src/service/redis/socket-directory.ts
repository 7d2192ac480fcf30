import { createHash } from 'node:crypto'
import { lstat, mkdir, realpath } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BackupError, systemCode } from '@securyflex/shared/errors'

/** The longest path of a Unix socket, in bytes, on macOS; Linux takes four more (unix(7), `sun_path`). */
const longestSocketPath = 103

/**
 * The private directory (0700) for the socket of the Redis that belongs to `backupDirectory`: always the same
 * one, and short, which BACKUP_DIR need not be. The system's temporary directory, because XDG_RUNTIME_DIR is
 * taken away when its user logs out, which a service may outlive.
 * @throws SETUP_NEEDED if somebody else has put something in its place
 */
export async function socketDirectory(backupDirectory: string): Promise<string> {
  const user = process.getuid?.() ?? 0
  const digest = createHash('sha256')
    .update(await realpath(backupDirectory))
    .digest('hex')
  const name = `securyflex-${user}-${digest.slice(0, 12)}`
  const path = [tmpdir(), '/tmp'].map((place) => join(place, name)).find(fitsSocket)
  if (path === undefined)
    throw new BackupError('SETUP_NEEDED', 'There is no directory for the socket of Redis.')
  await mkdir(path, { mode: 0o700 }).catch((error: unknown) => {
    if (systemCode(error) !== 'EEXIST') throw cannotUse(path, systemCode(error) ?? String(error), error)
  })
  // In a directory that all may write to, somebody else could have been there first.
  const facts = await lstat(path)
  if (!facts.isDirectory()) throw cannotUse(path, 'it is no directory')
  if (facts.uid !== user) throw cannotUse(path, 'it belongs to another user')
  if ((facts.mode & 0o077) !== 0) throw cannotUse(path, 'others may enter it')
  return path
}

/** The socket in such a directory. */
export function socketIn(directory: string): string {
  return join(directory, 'redis.sock')
}

function fitsSocket(directory: string): boolean {
  return Buffer.byteLength(socketIn(directory)) <= longestSocketPath
}

function cannotUse(path: string, why: string, cause?: unknown): BackupError {
  return new BackupError('SETUP_NEEDED', `${path} cannot hold the socket of Redis: ${why}.`, {
    hint: `Remove it, or name another temporary directory, for example: TMPDIR=$HOME/tmp npm start`,
    cause,
  })
}
