import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Programs that the product is compared with, and the package of each on Debian and Ubuntu. */
const programs = {
  bash: 'bash',
  zstd: 'zstd',
  openssl: 'openssl',
  gzip: 'gzip',
  xargs: 'findutils',
  restic: 'restic',
} as const

/**
 * Makes sure that every comparison can be made: none is left out silently.
 * @throws Error that names what is missing and how to install it
 */
export async function refuseMissing(): Promise<void> {
  if (process.platform !== 'linux')
    throw new Error('The benchmark reads memory from /proc, so it needs Linux.')
  const missing: string[] = []
  for (const program of Object.keys(programs) as (keyof typeof programs)[]) {
    const found = await run('sh', ['-c', `command -v ${program}`]).catch(() => undefined)
    if (found === undefined) missing.push(program)
  }
  if (missing.length === 0) return
  const names = missing.map((program) => programs[program as keyof typeof programs])
  throw new Error(
    `Missing on this machine: ${missing.join(', ')}.\nType: sudo apt-get install -y --no-install-recommends ${names.join(' ')}`,
  )
}

/** What was compared with, for the page: `restic 0.14.0 …`. */
export async function versions(): Promise<string[]> {
  const commands = ['restic version', 'zstd --version', 'openssl version', 'gzip --version']
  const said = await Promise.all(commands.map((command) => run('sh', ['-c', command])))
  return said.map(({ stdout }) => (stdout.split('\n')[0] ?? '').replace(/^\*+ ?| ?\*+$/g, '').trim())
}
