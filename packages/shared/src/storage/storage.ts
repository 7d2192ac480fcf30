/**
 * What a place that holds a repository must be able to do. Every driver keeps these promises, and
 * `storageContract` in test/contract tries them on a real server.
 *
 * - Keys are relative, with `/` between parts; no part is empty, `.` or `..`.
 * - Objects are small (a sealed segment is at most 9 MiB), so bodies are buffers.
 * - A driver never retries; `withRetries` does, from the error's class. Every call may be repeated.
 * - A call on which nothing moves ends by itself, as STORAGE_UNREACHABLE.
 * - Errors are BackupErrors: STORAGE_UNREACHABLE is transient; STORAGE_REFUSED (credentials, rights,
 *   read-only), STORAGE_FULL and STORAGE_LOCKED are permanent. An object that is not there is no error.
 */
export interface Storage {
  /** The destination's configured name. */
  readonly name: string
  /** Where this is, for people; never with a secret. */
  readonly shown: string

  /**
   * Stores `body` under `key`, replacing what is there. Once it resolves, the object is durable and whole: the place
   * itself has compared it with a checksum.
   */
  put(key: string, body: Uint8Array): Promise<void>

  /** Like {@link put} but never replaces: `false` if `key` exists, whatever it holds, perhaps by an earlier try. */
  putIfAbsent(key: string, body: Uint8Array): Promise<boolean>

  /** The whole object, or as much of `range` as it has; undefined if there is none. */
  get(key: string, range?: ByteRange): Promise<Buffer | undefined>

  /** Size and age of an object; undefined if there is none. */
  stat(key: string): Promise<StoredObject | undefined>

  /** Every object whose key begins with `prefix`, in no promised order. Unfinished writes are not listed. */
  list(prefix: string): AsyncIterable<StoredObject>

  /** Removes an object; one that is not there is success. */
  delete(key: string): Promise<void>

  /**
   * Removes what writers that were killed in the middle left behind at keys that begin with `prefix`, which ends
   * with `/`, where nobody has written for a day. It was never listed.
   * @returns how many
   */
  removeUnfinished(prefix: string): Promise<number>

  /** The place's own clock, against which {@link StoredObject.modified} is to be read. */
  now(): Promise<Date>

  /** Where the place keeps what it stores from being removed for a time (object lock); else undefined. */
  readonly locks?: Locks | undefined

  /**
   * The same place until `signal` aborts: then calls end at once with the signal's reason, also in the middle of a
   * request, which is given up, so that what it was to write does not come later. (A file system cannot be told that.)
   */
  until(signal: AbortSignal): Storage
}

/** The locks of a place that locks all that it stores. A lock never becomes shorter. */
export interface Locks {
  /**
   * Milliseconds by which each lock lasts longer than was asked for, counted from when the object was stored or its lock
   * renewed: only after that need it be renewed.
   */
  readonly spare: number

  /** Whether the object is locked like one that was stored at `time` under today's settings, give or take half a day. */
  isLikeStored(key: string, time: Date): Promise<boolean>

  /** Locks the object for as long as if it were stored now; one whose lock lasts longer, or that is not there, is left. */
  renew(key: string): Promise<void>
}

export interface StoredObject {
  readonly key: string
  /** In bytes. */
  readonly size: number
  /** When it was last stored, by the place's own clock. */
  readonly modified: Date
}

/** Part of an object; `start` counts from 0, `length` is at least 1. */
export interface ByteRange {
  readonly start: number
  readonly length: number
}
