import { pipeline } from 'node:stream/promises'
import {
  type ArchiveFormat,
  type ArchiveInput,
  childEnvironment,
  startTool,
  type Tools,
} from '@securyflex/shared/postgres'

/** Which definitions, and of what kind of archive. */
export interface DefinitionOptions {
  /** Default: `custom`. */
  readonly format?: ArchiveFormat
  /** Those of the database itself, too: how it was created, its settings, comment and privileges. */
  readonly create?: boolean
}

/**
 * The definitions that an archive holds, as SQL in the encoding of its database. They stand in the table of
 * contents at its beginning, so that only that much of `archive` is read.
 * @throws RESTORE_FAILED, or the error of `archive`
 */
export async function definitionsOf(
  tools: Tools,
  archive: ArchiveInput,
  signal: AbortSignal,
  { format = 'custom', create = false }: DefinitionOptions = {},
): Promise<Buffer> {
  const path = 'path' in archive ? ['--', archive.path] : []
  const stop = new AbortController()
  const options = [`--format=${format}`, '--schema-only', ...(create ? ['--create'] : []), '--file=-']
  const tool = startTool(tools.pg_restore, [...options, ...path], {
    env: childEnvironment(),
    stdin: !('path' in archive),
    signal: AbortSignal.any([signal, stop.signal]),
    failureCode: 'RESTORE_FAILED',
  })
  const broken: { by?: { error: unknown } } = {}
  async function* watched(): AsyncGenerator<Uint8Array> {
    if ('path' in archive) return
    try {
      yield* archive
    } catch (error) {
      broken.by = { error }
      stop.abort(error)
      throw error
    }
  }
  // It closes its end when it has read enough, so that this one breaks off.
  const fed = tool.stdin === undefined ? Promise.resolve() : pipeline(watched(), tool.stdin)
  const settled = fed.catch(() => undefined)
  try {
    const parts: Buffer[] = []
    for await (const part of tool.stdout) parts.push(part as Buffer)
    await tool.done
    return Buffer.concat(parts)
  } catch (error) {
    throw broken.by === undefined ? error : broken.by.error
  } finally {
    await settled
  }
}
