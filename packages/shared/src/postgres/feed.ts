import { addAbortListener } from 'node:events'
import { basename } from 'node:path'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Connection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { libpqEnvironment } from './environment.ts'
import { explainRestore } from './tool-errors.ts'
import { cancelled, startTool, type Tool } from './tool.ts'

/** What the server shows of the tools that restore. */
export const applicationName = 'securyflex-backup restore'

/** A tool that changes a database, and how to stop it. */
export interface Started {
  readonly tool: Tool
  /** Where it lies. */
  readonly path: string
  readonly stop: AbortController
  /** Aborted by `stop`, and by who asked for all of it. */
  readonly signal: AbortSignal
}

/** Starts pg_restore or psql on the database of `target`; it reads its standard input unless `stdin` is false. */
export function startRestoring(
  path: string,
  args: readonly string[],
  target: Connection,
  signal: AbortSignal | undefined,
  stdin = true,
): Started {
  const stop = new AbortController()
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  const tool = startTool(path, args, {
    env: { PGAPPNAME: applicationName, ...libpqEnvironment(target) },
    signal: either,
    stdin,
    failureCode: 'RESTORE_FAILED',
    explain: explainRestore(basename(path)),
  })
  return { tool, path, stop, signal: either }
}

/**
 * Hands `source` to a tool and waits for its end. When `source` fails the tool is killed before it could take
 * that for the end of its input.
 *
 * pg_restore ends when it has all that the table of contents names, and leaves what comes after it, such as the
 * padding of a tar: then `source` is read to its end all the same, so that what checks it has its say. psql has to
 * read everything (`wholly`).
 *
 * Whose error is thrown: the source's before the tool's, the tool's before that of the pipe between them.
 */
export async function feed(
  { tool: { done, stdin }, path, stop, signal }: Started,
  source: AsyncIterable<Uint8Array>,
  { wholly }: { readonly wholly: boolean },
): Promise<void> {
  const broken: { by?: { error: unknown } } = {}
  const chunks = source[Symbol.asyncIterator]()
  const asked = { is: false }
  const ask = async () => {
    asked.is = true
    try {
      return await chunks.next()
    } finally {
      asked.is = false
    }
  }
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      for (let next = await ask(); next.done !== true; next = await ask()) yield next.value
    } catch (error) {
      broken.by = { error }
      stop.abort(error)
      throw error
    }
  }
  const fed = pipeline(watched(), stdin as Writable, { signal: stop.signal })
  // Its error is looked at below, after the tool's.
  fed.catch(() => undefined)
  try {
    await done
    const read = fed.catch(async (cause: unknown) => {
      if (broken.by !== undefined) throw broken.by.error
      if (!wholly) return readOn(ask)
      throw new BackupError('RESTORE_FAILED', 'The restore ended before the whole script was read.', {
        cause,
      })
    })
    await unlessAborted(read, signal, () => cancelled(path, signal))
  } catch (error) {
    stop.abort(error)
    throw broken.by === undefined ? error : broken.by.error
  } finally {
    // A source that has been asked for more hears of its end when it answers, which a silent store may never do.
    const ended = chunks.return?.()
    if (asked.is) ended?.catch(() => undefined)
    else await ended
  }
}

async function readOn(ask: () => Promise<IteratorResult<Uint8Array>>): Promise<void> {
  for (let next = await ask(); next.done !== true;) next = await ask()
}

/** What `work` gives; who waits for it is told at once when `signal` aborts, whatever becomes of it. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, why: () => Error): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  using _ = addAbortListener(signal, () => {
    reject(why())
  })
  return await Promise.race([work, promise])
}
