import type { Secret } from '@securyflex/shared/errors'
import { BackupError } from '@securyflex/shared/errors'
import type { DataKey } from './data-key.ts'
import { openKeyRecord } from './key-record.ts'
import type { KeyRecord } from './record-schema.ts'
import { type KeyMaterial, parseKeyMaterial } from './material.ts'

/** The keys that are configured, and the data keys that they opened. scrypt runs once per record. */
export class KeyRing {
  readonly #current: Secret | undefined
  readonly #previous: readonly Secret[]
  readonly #opened = new Map<string, Promise<DataKey>>()
  readonly #writable = new Map<string, Promise<boolean>>()

  constructor(keys: { readonly current: Secret | undefined; readonly previous: readonly Secret[] }) {
    this.#current = keys.current
    this.#previous = keys.previous
  }

  /** Whether any key is configured. */
  get empty(): boolean {
    return this.#current === undefined && this.#previous.length === 0
  }

  /** What new records are wrapped under. @throws KEY_MISSING */
  writing(): KeyMaterial {
    if (this.#current === undefined) throw missing('Encryption is on, and no key is configured.')
    return parseKeyMaterial(this.#current)
  }

  /** The data key of `record`. @throws KEY_MISSING without any key, KEY_WRONG if none fits */
  open(record: KeyRecord): Promise<DataKey> {
    const name = `${record.id} ${record.wrapped}`
    const opened = this.#opened.get(name) ?? this.#unwrap(record)
    this.#opened.set(name, opened)
    opened.catch(() => this.#opened.delete(name))
    return opened
  }

  /** Whether the current key, not a previous one, opens `record`. */
  opensForWriting(record: KeyRecord): Promise<boolean> {
    const name = `${record.id} ${record.wrapped}`
    const known = this.#writable.get(name) ?? this.#tryCurrent(record)
    this.#writable.set(name, known)
    known.catch(() => this.#writable.delete(name))
    return known
  }

  /** Whether any configured key opens `record`. */
  async opens(record: KeyRecord): Promise<boolean> {
    try {
      await this.open(record)
      return true
    } catch (error) {
      if (error instanceof BackupError && error.code === 'KEY_WRONG') return false
      throw error
    }
  }

  async #tryCurrent(record: KeyRecord): Promise<boolean> {
    try {
      await openKeyRecord(record, [this.writing()])
      return true
    } catch (error) {
      if (error instanceof BackupError && error.code === 'KEY_WRONG') return false
      throw error
    }
  }

  async #unwrap(record: KeyRecord): Promise<DataKey> {
    if (this.empty) throw missing(`The key record ${record.id} needs a key, and none is configured.`)
    const secrets = this.#current === undefined ? this.#previous : [this.#current, ...this.#previous]
    return openKeyRecord(record, secrets.map(parseKeyMaterial))
  }
}

function missing(message: string): BackupError {
  return new BackupError('KEY_MISSING', message, {
    hint: 'Set BACKUP_ENCRYPTION_KEY (or BACKUP_ENCRYPTION_KEY_FILE); a new key is made with: npx --no securyflex-backup key generate',
  })
}
