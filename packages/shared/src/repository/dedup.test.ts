import { createHash } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import type { Cipher } from '@securyflex/shared/config'
import fc from 'fast-check'
import { content, testRepository } from '../../../../test/helpers/repository.ts'
import { BackupReader } from './index.ts'

/** A change to a byte stream; places and lengths are shares of the whole. */
type Edit =
  | {
      readonly kind: 'insert' | 'overwrite'
      readonly at: number
      readonly bytes: Uint8Array
      readonly times: number
    }
  | { readonly kind: 'delete' | 'repeat'; readonly at: number; readonly share: number }
  | { readonly kind: 'swap'; readonly at: number }

const share = fc.double({ min: 0, max: 1, noNaN: true })
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('insert' as const, 'overwrite' as const),
    at: share,
    bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
    times: fc.constantFrom(1, 1, 50_000),
  }),
  fc.record({ kind: fc.constantFrom('delete' as const, 'repeat' as const), at: share, share }),
  fc.record({ kind: fc.constant('swap' as const), at: share }),
)
const megabyte = 1024 * 1024

function applied(before: Buffer, change: Edit): Buffer {
  const at = Math.floor(before.length * change.at)
  const [head, tail] = [before.subarray(0, at), before.subarray(at)]
  switch (change.kind) {
    case 'insert':
    case 'overwrite': {
      const written = Buffer.concat(Array.from({ length: change.times }, () => change.bytes))
      return Buffer.concat([head, written, change.kind === 'insert' ? tail : tail.subarray(written.length)])
    }
    case 'delete':
      return Buffer.concat([head, tail.subarray(Math.floor(tail.length * change.share))])
    case 'repeat': {
      const part = tail.subarray(0, Math.min(3 * megabyte, Math.floor(tail.length * change.share)))
      return Buffer.concat([head, part, part, tail])
    }
    case 'swap':
      return Buffer.concat([tail, head])
  }
}

const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

describe.each<Cipher>(['aes-256-gcm', 'none'])('deduplication (%s)', (cipher) => {
  it('never changes content, whatever becomes of a stream from backup to backup', async () => {
    const first = content(7)
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 2, maxLength: 5 }), async (edits) => {
        await using repository = await testRepository(cipher)
        const versions = [first]
        for (const change of edits) versions.push(applied(versions.at(-1) ?? first, change))
        const backups = []
        for (const [index, archive] of versions.entries()) {
          const run = `shop.20261123T02${String(index).padStart(2, '0')}00Z.00aa`
          backups.push(await repository.backUp({ run, streams: { archive } }))
        }
        // Read after all were written: a later backup must not have changed what an earlier one names.
        for (const [index, opened] of backups.entries()) {
          const reader = new BackupReader(repository.storage, opened)
          const stream = reader.stream('archive')
          const read = stream === undefined ? Buffer.alloc(0) : await reader.readAll(stream)
          expect([index, hash(read)]).toEqual([index, hash(versions[index] ?? first)])
        }
      }),
      { numRuns: 6 },
    )
  })
})
