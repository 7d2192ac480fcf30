import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { linkUnlessTaken, privateFile, syncDirectory, temporaryName } from './files.ts'

/**
 * Writes what `content` yields so that `path` holds either what it held before or all of it, also after a crash.
 * When `content` fails nothing is left. A kill leaves a file that `isTemporaryName` knows, beside `path`.
 * @param options.replace whether what is at `path` already is replaced
 * @returns `false` if `path` exists and may not be replaced
 */
export async function writeStreamDurably(
  path: string,
  content: AsyncIterable<Uint8Array>,
  { replace }: { readonly replace: boolean },
): Promise<boolean> {
  const temporary = temporaryName(path)
  try {
    const file = await open(temporary, 'wx', privateFile)
    try {
      for await (const chunk of content) await file.writeFile(chunk)
      await file.sync()
    } finally {
      await file.close()
    }
    const written = replace
      ? await rename(temporary, path).then(() => true)
      : await linkUnlessTaken(temporary, path)
    await syncDirectory(dirname(path))
    return written
  } finally {
    await rm(temporary, { force: true })
  }
}
