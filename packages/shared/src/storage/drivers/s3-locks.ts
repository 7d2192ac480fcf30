import {
  GetObjectRetentionCommand,
  type ObjectLockRetention,
  PutObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { ObjectLock } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { lockTimes } from '../lock-times.ts'
import type { Locks } from '../storage.ts'

const halfADay = 12 * 60 * 60 * 1000

/** The bucket, as the locks of its objects need it. */
export interface LockingBucket {
  readonly shown: string
  address(key: string): { readonly Bucket: string; readonly Key: string }
  /** What `call` gives; undefined for an answer with one of these statuses. */
  ask<T>(
    operation: 'write' | 'read',
    call: (client: S3Client, until: { readonly abortSignal?: AbortSignal }) => Promise<T>,
    absent: readonly number[],
  ): Promise<T | undefined>
  isThere(key: string): Promise<boolean>
}

/** What an object that is stored now is locked with. */
export function lockOf(lock: ObjectLock) {
  return {
    Mode: lock.mode === 'compliance' ? ('COMPLIANCE' as const) : ('GOVERNANCE' as const),
    RetainUntilDate: new Date(Date.now() + lockTimes(lock).lasts),
  }
}

/** The locks of a bucket whose objects are stored with `objectLock`. They are those of the newest versions. */
export class S3Locks implements Locks {
  readonly spare: number
  readonly #lock: ObjectLock
  readonly #bucket: LockingBucket

  constructor(bucket: LockingBucket, lock: ObjectLock) {
    this.#bucket = bucket
    this.#lock = lock
    this.spare = lockTimes(lock).spare
  }

  async isLikeStored(key: string, time: Date): Promise<boolean> {
    const standing = await this.#standing(key)
    const expected = time.getTime() + lockTimes(this.#lock).lasts
    const ends = standing?.RetainUntilDate?.getTime() ?? 0
    return standing?.Mode === lockOf(this.#lock).Mode && Math.abs(ends - expected) < halfADay
  }

  async renew(key: string): Promise<void> {
    const wanted = lockOf(this.#lock)
    if ((await this.#retain(key, wanted)) || !(await this.#bucket.isThere(key))) return
    // A shorter lock, or one of another mode, is refused like a missing right.
    const standing = await this.#standing(key)
    if (standing?.RetainUntilDate === undefined) throw this.#refused()
    if (standing.RetainUntilDate >= wanted.RetainUntilDate) return
    const { Mode = wanted.Mode } = standing
    if (Mode === wanted.Mode || !(await this.#retain(key, { ...wanted, Mode }))) throw this.#refused()
  }

  async #retain(key: string, Retention: ObjectLockRetention): Promise<boolean> {
    const command = new PutObjectRetentionCommand({ ...this.#bucket.address(key), Retention })
    const done = await this.#bucket.ask('write', (client, until) => client.send(command, until), [403, 404])
    return done !== undefined
  }

  /** Undefined if it is not locked, or these credentials may not see it. */
  async #standing(key: string): Promise<ObjectLockRetention | undefined> {
    const command = new GetObjectRetentionCommand(this.#bucket.address(key))
    const seen = await this.#bucket.ask('read', (client, until) => client.send(command, until), [403, 404])
    return seen?.Retention
  }

  #refused(): BackupError {
    return new BackupError(
      'STORAGE_REFUSED',
      `These credentials may not lock what is in ${this.#bucket.shown}.`,
      {
        hint: 'Allow s3:PutObjectRetention and s3:GetObjectRetention in its policy; docs/destinations.md has the whole.',
      },
    )
  }
}
