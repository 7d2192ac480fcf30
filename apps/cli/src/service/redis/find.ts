import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import { searchPath } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'

/** Where packages put it: Debian and most others, self-built, Homebrew on both kinds of Mac. */
const usualPlaces = [
  '/usr/bin',
  '/usr/local/bin',
  '/usr/sbin',
  '/opt/homebrew/bin',
  '/opt/homebrew/opt/redis/bin',
]

/** Path of `redis-server`. @throws SETUP_NEEDED with the line that installs it */
export async function findRedisServer(
  places: readonly string[] = [...searchPath(), ...usualPlaces],
): Promise<string> {
  for (const place of places) {
    const path = join(place, 'redis-server')
    if (await isProgram(path)) return path
  }
  throw new BackupError('SETUP_NEEDED', 'There is no redis-server on this machine.', {
    hint: `Type: ${installLine()}, or set REDIS_URL to a Redis elsewhere.`,
  })
}

async function isProgram(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

function installLine(): string {
  if (process.platform === 'darwin') return 'brew install redis'
  return 'sudo apt-get install --no-install-recommends redis-server'
}
