/** Where pg_dump writes its `\restrict`: behind the title, before any SQL. */
const headerLength = 1024

/**
 * A script without the lines `\restrict <word>` and `\unrestrict <word>` that newer versions of pg_dump write
 * around it. Older versions of psql do not know them, and what a file says about its own trustworthiness is
 * no protection from it.
 */
export async function* withoutRestrictions(script: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let header: Buffer | undefined = Buffer.alloc(0)
  let end: Buffer | undefined
  let held: Buffer = Buffer.alloc(0)
  for await (const chunk of script) {
    let next: Buffer = Buffer.from(chunk)
    if (header !== undefined) {
      header = Buffer.concat([header, chunk])
      if (header.length < headerLength) continue
      ;[next, end] = split(header)
      header = undefined
    }
    if (end === undefined) {
      yield next
      continue
    }
    // What may be the beginning of the line that is looked for waits for the next chunk.
    const whole = cut(Buffer.concat([held, next]), end)
    const kept = Math.max(0, whole.length - end.length)
    if (kept > 0) yield whole.subarray(0, kept)
    held = Buffer.from(whole.subarray(kept))
  }
  if (header !== undefined) {
    const [next, last] = split(header)
    yield last === undefined ? next : cut(next, last)
  } else if (held.length > 0) yield held
}

/** The script's beginning without its `\restrict`, and the line that ends it. */
function split(header: Buffer): [rest: Buffer, end: Buffer | undefined] {
  const text = header.subarray(0, headerLength).toString('latin1')
  const found = /^((?:--[^\n]*\n|\n)*)\\restrict ([A-Za-z0-9]+)\r?\n/.exec(text)
  if (found === null) return [header, undefined]
  const [all, before = '', word = ''] = found
  const rest = Buffer.concat([header.subarray(0, before.length), header.subarray(all.length)])
  return [rest, Buffer.from(`\n\\unrestrict ${word}\n`)]
}

function cut(script: Buffer, line: Buffer): Buffer {
  const at = script.indexOf(line)
  if (at < 0) return script
  return Buffer.concat([script.subarray(0, at), script.subarray(at + line.length - 1)])
}
