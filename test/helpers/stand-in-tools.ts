import { chmod, symlink, writeFile } from 'node:fs/promises'
import { findTools } from '@securyflex/shared/postgres'
import { temporaryDirectory } from './temporary-directory.ts'

/** A directory of client tools, for BACKUP_PG_BIN_DIR, in which pg_dump can be made to fail. */
export interface StandInTools extends AsyncDisposable {
  readonly path: string
  /** Makes pg_dump a shell script; `$real` is the real one. */
  replaceDump(script: string): Promise<void>
  /** Makes pg_dump the real one again. */
  repairDump(): Promise<void>
}

export async function standInTools(): Promise<StandInTools> {
  const directory = await temporaryDirectory()
  const real = await findTools(15)
  for (const name of ['pg_dumpall', 'pg_restore', 'psql'] as const) {
    await symlink(real[name], directory.join(name))
  }
  const replaceDump = async (script: string) => {
    const version = 'if [ "$1" = --version ]; then exec "$real" --version; fi'
    await writeFile(directory.join('pg_dump'), `#!/bin/sh\nreal=${real.pg_dump}\n${version}\n${script}\n`)
    await chmod(directory.join('pg_dump'), 0o755)
  }
  const repairDump = () => replaceDump('exec "$real" "$@"')
  await repairDump()
  return { path: directory.path, replaceDump, repairDump, [Symbol.asyncDispose]: () => directory.remove() }
}
