import { BackupError } from '@securyflex/shared/errors'

/** pg_dump's last words; newer versions write a `\unrestrict` behind them. */
const lastWords = '-- PostgreSQL database dump complete'
/** Bytes at the end in which they must stand. */
const endLength = 4096

/**
 * Passes a script of pg_dump on, and throws at its end if it is not the end of a dump: the last statements of
 * a script that is cut between two of them would be missing without an error.
 * @throws STREAM_DAMAGED
 */
export async function* wholeScript(script: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  let end = Buffer.alloc(0)
  for await (const chunk of script) {
    yield chunk
    end = Buffer.concat([end, chunk.subarray(-endLength)]).subarray(-endLength)
  }
  if (end.includes(lastWords)) return
  throw new BackupError('STREAM_DAMAGED', `${path} is cut off: the last line of pg_dump is missing.`, {
    hint: `Use another dump; if you took its end off yourself, add the line “${lastWords}”.`,
  })
}
