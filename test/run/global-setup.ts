import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serveCluster } from './shared-cluster.ts'

/**
 * Marks this run, so that what it leaves behind can be told from everything else on the machine: every child inherits
 * SECURYFLEX_TEST_RUN, and every temporary directory lies in one of the run's own.
 */
export default function globalSetup(): void {
  const run = randomBytes(4).toString('hex')
  // Short, because the path of a Unix socket may have 107 bytes; open to traverse, because PostgreSQL runs as another user.
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'sfx-')))
  chmodSync(directory, 0o711)
  process.env['SECURYFLEX_TEST_RUN'] = run
  process.env['SECURYFLEX_TEST_DIR'] = directory
  process.env['TMPDIR'] = directory
  serveCluster(directory)
}
