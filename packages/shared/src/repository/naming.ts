import { BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import type { ListEntry } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { findBackups } from './backups.ts'
import type { Elsewhere } from './elsewhere.ts'
import { layout } from './layout.ts'
import type { Opener } from './opener.ts'
import { BackupReader, listEntryOf } from './reading.ts'

/** A segment, and a backup that names it. */
export interface Named {
  readonly run: string
  readonly entry: ListEntry
}

/**
 * What the backups of a source name at one place, read as a stream: a list whose segment is missing or bad here is read
 * from another destination where that has it.
 */
export class Naming {
  /** Backups whose manifests could not be read, in the last walk. */
  readonly unreadable = new Map<string, BackupError>()
  /** Backups of which it could not be known what they name, in the last walk. */
  readonly incomplete = new Set<string>()
  /** How many manifests could be read, in the last walk. */
  readable = 0
  /** Segments of lists that were missing or bad here, by their ids' digits. */
  readonly badLists = new Map<string, { readonly entry: ListEntry; readonly what: 'missing' | 'altered' }>()
  readonly #storage: Storage
  readonly #source: string
  readonly #keys: KeyRing
  readonly #opener: Opener
  readonly #elsewhere: Elsewhere

  constructor(storage: Storage, source: string, keys: KeyRing, opener: Opener, elsewhere: Elsewhere) {
    this.#storage = storage
    this.#source = source
    this.#keys = keys
    this.#opener = opener
    this.#elsewhere = elsewhere
  }

  /** Reads all manifests and their lists once. */
  async *walk(): AsyncGenerator<Named> {
    this.readable = 0
    this.unreadable.clear()
    this.incomplete.clear()
    for await (const { run, opened, problem } of findBackups(this.#storage, this.#source, this.#keys)) {
      if (opened !== undefined) {
        this.readable += 1
        this.#opener.add(opened.key)
        yield* this.#ofBackup(run, new BackupReader(this.#storage, opened))
        // One that is gone was pruned just now.
      } else if (problem.code !== 'BACKUP_NOT_FOUND') this.unreadable.set(run, told(problem))
    }
  }

  async *#ofBackup(run: string, reader: BackupReader): AsyncGenerator<Named> {
    for (const stream of reader.manifest.streams) {
      for (const segment of stream.list) yield { run, entry: listEntryOf(segment) }
      const entries = reader.entries(stream, (entry) => this.#readList(entry))
      for (;;) {
        const next = await this.#unlessLost(run, entries.next())
        if (next === undefined || next.done === true) break
        yield { run, entry: next.value }
      }
    }
  }

  async #unlessLost<T>(run: string, next: Promise<T>): Promise<T | undefined> {
    try {
      return await next
    } catch (error) {
      told(error)
      this.incomplete.add(run)
      return undefined
    }
  }

  async #readList(entry: ListEntry): Promise<Buffer> {
    const sealed = await this.#storage.get(layout.segment(this.#source, entry.id))
    try {
      if (sealed !== undefined) return await this.#opener.open(entry.id, sealed)
    } catch (error) {
      told(error)
    }
    const what = sealed === undefined ? 'missing' : 'altered'
    this.badLists.set(entry.id.toString('hex'), { entry, what })
    const found = await this.#elsewhere.find(entry.id)
    if (found !== undefined) return found.plain
    throw new BackupError('SEGMENT_MISSING', `The list ${entry.id.toString('hex')} is nowhere to be read.`)
  }
}

/** An error that says something of what is stored. @throws any other: the place could not be read */
function told(error: unknown): BackupError {
  if (!(error instanceof BackupError) || error.class === 'transient') throw error
  if (error.code.startsWith('STORAGE_')) throw error
  return error
}
