import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, symlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { temporaryDirectory } from './temporary-directory.ts'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')

/** A directory that looks like a clone in which everything was set up. */
export interface Clone extends AsyncDisposable {
  readonly path: string
  join(...names: string[]): string
}

/** Copies this checkout as it is, changes included; packages of others are links into its node_modules. */
export async function makeClone(): Promise<Clone> {
  const directory = await temporaryDirectory()
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--deduplicate']
  const { stdout } = await run('git', list, { cwd: root, maxBuffer: 2 ** 24 })
  const { stdout: deleted } = await run('git', ['ls-files', '-z', '--deleted'], { cwd: root })
  const gone = new Set(deleted.split('\0'))
  for (const name of stdout.split('\0').filter((one) => one !== '' && !gone.has(one))) {
    await mkdir(dirname(directory.join(name)), { recursive: true })
    await cp(join(root, name), directory.join(name))
  }
  await linkModules(directory.join('node_modules'))
  return { ...directory, [Symbol.asyncDispose]: () => directory.remove() }
}

/** The workspaces lead to the copy, everything else to the original. */
async function linkModules(modules: string): Promise<void> {
  const original = join(root, 'node_modules')
  await mkdir(modules)
  for (const name of await readdir(original)) {
    if (name === '@securyflex')
      await cp(join(original, name), join(modules, name), { recursive: true, verbatimSymlinks: true })
    else await symlink(join(original, name), join(modules, name))
  }
}
