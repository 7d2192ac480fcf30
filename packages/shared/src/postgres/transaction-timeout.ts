const unknownSetting = '\nSET transaction_timeout = 0;\n'
/** The settings stand in the first lines of a script. */
const headerLength = 8 * 1024

/**
 * A script of pg_dump or pg_restore as servers before 17 take it: newer tools begin with `SET
 * transaction_timeout`, which those refuse, and offer no way to leave that out.
 */
export async function* withoutTransactionTimeout(
  script: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let header: Buffer | undefined = Buffer.alloc(0)
  for await (const chunk of script) {
    if (header === undefined) {
      yield chunk
      continue
    }
    header = Buffer.concat([header, chunk])
    if (header.length < headerLength) continue
    yield mended(header)
    header = undefined
  }
  if (header !== undefined) yield mended(header)
}

function mended(header: Buffer): Buffer {
  const at = header.indexOf(unknownSetting)
  return at < 0 || at > headerLength
    ? header
    : Buffer.concat([header.subarray(0, at + 1), header.subarray(at + unknownSetting.length)])
}
