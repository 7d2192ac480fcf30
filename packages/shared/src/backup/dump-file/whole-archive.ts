import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BackupError } from '@securyflex/shared/errors'

/** Tar is made of blocks of this many bytes (POSIX, "ustar Interchange Format"). */
const block = 512

/**
 * Passes a tar archive on, and throws at its end if that is not its end: pg_restore 15 takes a file that is
 * cut in the middle of a table for that table's end, and ends with status 0.
 * @throws STREAM_DAMAGED
 */
export async function* wholeTar(archive: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  let [skip, ended, header] = [0, false, Buffer.alloc(0)]
  for await (const chunk of archive) {
    yield chunk
    for (let at = 0; at < chunk.length && !ended;) {
      const skipped = Math.min(skip, chunk.length - at)
      skip -= skipped
      at += skipped
      const part = chunk.subarray(at, at + block - header.length)
      header = Buffer.concat([header, part])
      at += part.length
      if (header.length < block) continue
      ended = header[0] === 0
      skip = Math.ceil(sizeIn(header) / block) * block
      header = Buffer.alloc(0)
    }
  }
  if (!ended) throw cutOff(`${path} is cut off: its tar archive ends in the middle.`)
}

/** Octal digits; from 8 GiB on GNU's base-256, whose first byte is 0x80. */
function sizeIn(header: Buffer): number {
  if (header[124] === 0x80) return header.readUIntBE(130, 6)
  return Number.parseInt(header.subarray(124, 136).toString('latin1'), 8) || 0
}

/** What pg_dump writes behind the rows of every table, as COPY and as INSERT. */
const endOfData = '\n\n'

/**
 * Looks at the end of each uncompressed table in a directory of pg_dump: pg_restore 15 takes a file that is cut
 * off for a shorter table, and ends with status 0. Compressed ones have a checksum, which it looks at.
 * @throws STREAM_DAMAGED
 */
export async function refuseCutDirectory(path: string): Promise<void> {
  for (const name of await readdir(path)) {
    if (!/^\d+\.dat$/.test(name)) continue
    if ((await lastBytes(join(path, name), endOfData.length)) !== endOfData)
      throw cutOff(`${join(path, name)} is cut off: the end of its table is missing.`)
  }
}

async function lastBytes(path: string, length: number): Promise<string> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, Math.max(0, size - length))
    return buffer.subarray(0, bytesRead).toString('latin1')
  } finally {
    await file.close()
  }
}

function cutOff(message: string): BackupError {
  return new BackupError('STREAM_DAMAGED', message, {
    hint: 'Compare its size with the original and fetch it again, or use another dump.',
  })
}
