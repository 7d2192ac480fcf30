import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A directory of one test's own; `await using` removes it with all it holds. */
export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string
  /** Joins names to the directory's path. */
  join(...names: string[]): string
  remove(): Promise<void>
}

/** Makes an empty directory, mode 0700, with a path short enough for Unix sockets. */
export async function temporaryDirectory(): Promise<TemporaryDirectory> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 't-')))
  const remove = (): Promise<void> => rm(path, { recursive: true, force: true, maxRetries: 3 })
  return { path, join: (...names) => join(path, ...names), remove, [Symbol.asyncDispose]: remove }
}
