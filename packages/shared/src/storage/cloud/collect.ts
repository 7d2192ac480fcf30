/** The whole of a body, whose length is usually known. */
export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of body) parts.push(part)
  return Buffer.concat(parts)
}

/** `bytes=0-99` of RFC 9110. */
export function rangeHeader({ start, length }: { readonly start: number; readonly length: number }): string {
  return `bytes=${String(start)}-${String(start + length - 1)}`
}
