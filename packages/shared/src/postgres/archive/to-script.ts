import { childEnvironment } from '../environment.ts'
import { feed } from '../feed.ts'
import { explainRestore } from '../tool-errors.ts'
import { startTool } from '../tool.ts'
import type { Tools } from '../tools.ts'

/**
 * The SQL of a custom archive, as pg_restore writes it. It ends only if the archive did and pg_restore was
 * content with it.
 * @throws STREAM_DAMAGED, TOOL_TOO_OLD, RESTORE_FAILED, CANCELLED, or the error of `archive`
 */
export async function* archiveToScript(
  tools: Tools,
  archive: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const tool = startTool(tools.pg_restore, ['--format=custom', '--file=-'], {
    env: childEnvironment(),
    signal: either,
    stdin: true,
    failureCode: 'RESTORE_FAILED',
    explain: explainRestore('pg_restore'),
  })
  const fed = feed({ tool, path: tools.pg_restore, stop, signal: either }, archive, { wholly: false })
  // It is awaited below, also when nobody reads to the end.
  fed.catch(() => undefined)
  try {
    for await (const part of tool.stdout) yield part as Buffer
    await fed
  } catch (error) {
    // What went wrong with the archive says more than that pg_restore was stopped for it.
    await fed
    throw error
  } finally {
    stop.abort()
    await fed.catch(() => undefined)
  }
}
