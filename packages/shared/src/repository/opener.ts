import { asBackupError } from '@securyflex/shared/errors'
import type { DataKey, KeyRing } from '@securyflex/shared/keys'
import { discard, type ListEntry, Sealer } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { openedKeys } from './repository.ts'

/** What a segment's object turned out to be. `unknown`: of no backup, and nothing here can tell whether it is whole. */
export type Verdict = 'good' | 'truncated' | 'altered' | 'unknown'

/** Opens any segment of a source, whichever of the keys that are known by now sealed it. */
export class Opener {
  readonly #unencrypted = new Sealer(undefined)
  readonly #sealers = new Map<string, Sealer>()

  /** With every key of the place that can be opened here. */
  static async of(storage: Storage, keys: KeyRing): Promise<Opener> {
    const opener = new Opener()
    if (keys.empty) return opener
    for await (const key of openedKeys(storage, keys)) opener.add(key)
    return opener
  }

  add(key: DataKey | undefined): void {
    if (key !== undefined && !this.#sealers.has(key.id)) this.#sealers.set(key.id, new Sealer(key))
  }

  /** The plain bytes. @throws SEGMENT_TRUNCATED, SEGMENT_TAMPERED, SEGMENT_FOREIGN, KEY_MISSING, FORMAT_UNKNOWN */
  async open(id: Buffer, sealed: Buffer): Promise<Buffer> {
    const keyId = sealed.subarray(16, 32).toString('hex')
    return (this.#sealers.get(keyId) ?? this.#unencrypted).open(id, sealed)
  }

  /** @param named what a backup knows of it; undefined if none names it */
  async judge(id: Buffer, sealed: Buffer, named: ListEntry | undefined): Promise<Verdict> {
    try {
      const plain = await this.open(id, sealed)
      if (plain.buffer !== sealed.buffer) discard(plain)
      return 'good'
    } catch (error) {
      const { code, class: kind } = asBackupError(error)
      if (kind === 'transient') throw error
      const isForeign = code === 'KEY_MISSING' || code === 'SEGMENT_FOREIGN' || code === 'FORMAT_UNKNOWN'
      if (named === undefined && isForeign) return 'unknown'
      const isShort = named !== undefined && sealed.length < named.sealedLength
      return code === 'SEGMENT_TRUNCATED' || isShort ? 'truncated' : 'altered'
    }
  }
}
