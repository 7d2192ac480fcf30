/**
 * Does `work` for all of `items`, `many` at a time. After a failure nothing new is begun, and what is under way is
 * awaited, so that nothing goes on behind the back of whoever hears of it.
 */
export async function inParallel<T>(
  items: AsyncIterable<T> | Iterable<T>,
  many: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let failed = false
  const worker = async () => {
    while (!failed) {
      const next = await iterator.next()
      if (next.done === true) return
      await work(next.value)
    }
  }
  const noted = () =>
    worker().catch((error: unknown) => {
      failed = true
      throw error
    })
  const ends = await Promise.allSettled(Array.from({ length: many }, noted))
  await iterator.return?.()
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}
