import { readFile } from 'node:fs/promises'
import { describe, expect, it } from '@jest/globals'
import { BackupError } from '@securyflex/shared/errors'
import type { Cipher } from '@securyflex/shared/config'
import { source, testRepository } from '../../../../test/helpers/repository.ts'
import { layout, openManifest } from './index.ts'

const run = 'shop.20261123T020000Z.00aa'
const name = layout.manifest(source, run)

describe.each<Cipher>(['aes-256-gcm', 'none'])('a manifest written with %s', (cipher) => {
  it('is refused with any one bit changed, and with any number of bytes missing at its end', async () => {
    await using repository = await testRepository(cipher)
    await repository.backUp({ run, streams: { archive: Buffer.from('rows'), globals: Buffer.from('roles') } })
    const bytes = await readFile(repository.pathOf({ run }))
    expect((await openManifest(name, bytes, repository.keys)).manifest.run).toBe(run)

    const accepted: string[] = []
    const expectRefused = async (what: string, altered: Buffer) => {
      const outcome = await openManifest(name, altered, repository.keys).catch((error: unknown) => error)
      if (!(outcome instanceof BackupError) || outcome.class === 'transient') accepted.push(what)
    }
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = Buffer.from(bytes)
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      await expectRefused(`bit ${bit}`, altered)
    }
    for (let length = 0; length < bytes.length; length++) {
      await expectRefused(`${length} bytes`, bytes.subarray(0, length))
    }
    expect(accepted).toEqual([])
  })
})
