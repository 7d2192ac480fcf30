import { hkdfSync } from 'node:crypto'
import { inspect } from 'node:util'
import type { KeyRecord } from './record-schema.ts'

/** What a subkey is for; docs/format.md, "Keys". */
type Label = 'id' | 'cut' | 'segment' | 'manifest' | 'spool'

/** The gear table: 256 integers of 4 bytes. */
const gearTableBytes = 1024

/** The key that everything of an encrypted repository follows from. It never prints its bytes. */
export class DataKey {
  readonly record: KeyRecord
  readonly #bytes: Buffer
  readonly #subkeys = new Map<Label, Buffer>()

  constructor(record: KeyRecord, bytes: Buffer) {
    this.record = record
    this.#bytes = bytes
  }

  /** 32 hex digits; in the header of each segment sealed under this key. */
  get id(): string {
    return this.record.id
  }

  /** The subkey of `label`: 32 bytes, 1,024 for `cut`. Derived once; whoever gets it must not change it. */
  subkey(label: Label): Buffer {
    const known = this.#subkeys.get(label)
    if (known !== undefined) return known
    const subkey = derive(this.#bytes, label)
    this.#subkeys.set(label, subkey)
    return subkey
  }

  toJSON(): string {
    return `[data key ${this.id}]`
  }

  [inspect.custom](): string {
    return this.toJSON()
  }
}

function derive(key: Buffer, label: Label): Buffer {
  const length = label === 'cut' ? gearTableBytes : 32
  return Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), `securyflex/1/${label}`, length))
}

/** The gear table of repositories without encryption. */
export function openGearTable(): Buffer {
  return derive(Buffer.alloc(32), 'cut')
}
