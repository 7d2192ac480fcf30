const unknownSetting = '\nSET transaction_timeout = 0;\n'
/** The settings stand in the first lines of a script. */
const headerLength = 8 * 1024

/**
 * A script of pg_dump or pg_restore as servers before 17 take it: newer tools begin with `SET
 * transaction_timeout`, which those refuse, and offer no way to leave that out.
 *
 * @param onLeftOut told the statement if it was there
 */
export async function* withoutTransactionTimeout(
  script: AsyncIterable<Uint8Array>,
  onLeftOut?: (statement: string) => void,
): AsyncGenerator<Uint8Array> {
  let header: Buffer | undefined = Buffer.alloc(0)
  for await (const chunk of script) {
    if (header === undefined) {
      yield chunk
      continue
    }
    header = Buffer.concat([header, chunk])
    if (header.length < headerLength) continue
    yield mended(header, onLeftOut)
    header = undefined
  }
  if (header !== undefined) yield mended(header, onLeftOut)
}

function mended(header: Buffer, onLeftOut: ((statement: string) => void) | undefined): Buffer {
  const at = header.indexOf(unknownSetting)
  if (at < 0 || at > headerLength) return header
  onLeftOut?.(unknownSetting.trim())
  return Buffer.concat([header.subarray(0, at + 1), header.subarray(at + unknownSetting.length)])
}
