import { pipeline } from 'node:stream/promises'
import {
  type ArchiveFormat,
  type ArchiveInput,
  childEnvironment,
  startTool,
  type Tools,
} from '@securyflex/shared/postgres'
import { type Needs, needsOf } from './needs.ts'

/**
 * What an archive needs of a server. Its table of contents stands at its beginning, so that only that much of
 * `archive` is read.
 * @throws RESTORE_FAILED, or the error of `archive`
 */
export async function needsOfArchive(
  tools: Tools,
  archive: ArchiveInput,
  signal: AbortSignal,
  format: ArchiveFormat = 'custom',
): Promise<Needs> {
  const path = 'path' in archive ? ['--', archive.path] : []
  const stop = new AbortController()
  const tool = startTool(tools.pg_restore, [`--format=${format}`, '--schema-only', '--file=-', ...path], {
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
    return needsOf(Buffer.concat(parts).toString('utf8'))
  } catch (error) {
    throw broken.by === undefined ? error : broken.by.error
  } finally {
    await settled
  }
}
