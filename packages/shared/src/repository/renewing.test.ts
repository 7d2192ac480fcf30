import { describe, expect, it } from '@jest/globals'
import { BackupError } from '@securyflex/shared/errors'
import type { Locks } from '@securyflex/shared/storage'
import { backUpTo, content, keyRing, source } from '../../../../test/helpers/repository.ts'
import { MemoryStorage } from '../../../../test/model/memory-storage.ts'
import { BackupReader, layout, newRunId, type OpenManifest } from './index.ts'

const day = 24 * 60 * 60 * 1000

/** A place that locks what it stores for `days` and `spare` more, and counts what is asked of its locks. */
class LockingStorage extends MemoryStorage {
  readonly ends = new Map<string, number>()
  renewals = 0
  looks = 0
  days: number
  mayRenew = true
  readonly #time: () => number

  constructor(time: () => number, days: number) {
    super('locking', time, (key) => {
      this.ends.set(key, time() + this.#lasts)
    })
    this.#time = time
    this.days = days
  }

  get #spare(): number {
    return Math.max(7, this.days / 4) * day
  }

  get #lasts(): number {
    return this.days * day + this.#spare
  }

  get locks(): Locks {
    return {
      spare: this.#spare,
      isLikeStored: (key, time) => {
        this.looks += 1
        const off = (this.ends.get(key) ?? 0) - time.getTime() - this.#lasts
        return Promise.resolve(Math.abs(off) < day / 2)
      },
      renew: (key) => {
        if (!this.mayRenew) return Promise.reject(new BackupError('STORAGE_REFUSED', 'It may not.'))
        this.renewals += 1
        this.ends.set(key, Math.max(this.ends.get(key) ?? 0, this.#time() + this.#lasts))
        return Promise.resolve()
      },
    }
  }
}

describe('a place that locks what it stores', () => {
  /** Nights of backups of a database of which one part stays, and one is new each night. */
  function nights(days: number, mebibytes = 1) {
    let now = Date.parse('2026-01-01T02:00:00Z')
    const storage = new LockingStorage(() => now, days)
    const keys = keyRing()
    const stays = content(mebibytes)
    const backUp = () => {
      const run = newRunId(source, new Date(now))
      const streams = { archive: stays, globals: Buffer.from(run) }
      return backUpTo(storage, keys, 'aes-256-gcm', { run, streams, sealedAt: new Date(now) })
    }
    return {
      storage,
      backUp,
      /** To the next night, at another minute of it. */
      sleep: (count = 1) => {
        now += count * day + (((now / day) * 7919) % 60) * 60_000 - 1_800_000
      },
      /** The objects that the backup needs and that are locked for less than its own days. */
      unprotected: async (opened: OpenManifest): Promise<string[]> => {
        const named = [...(await new BackupReader(storage, opened).index())]
        const others = [...storage.objects.keys()].filter((key) => /^(keys\/|repository\.)/.test(key))
        const needed = [
          layout.manifest(source, opened.manifest.run),
          ...named.map(({ id }) => layout.segment(source, id)),
          ...others,
        ]
        return needed.filter((key) => (storage.ends.get(key) ?? 0) < now + storage.days * day)
      },
    }
  }

  it('locks everything that each of 140 nightly backups needs for as long as the backup, through changes of the days', async () => {
    const { storage, backUp, sleep, unprotected } = nights(30)
    for (let night = 0; night < 140; night++) {
      if (night === 40) storage.days = 90
      if (night === 80) storage.days = 10
      if (night === 110) storage.days = 30
      expect({ night, unprotected: await unprotected(await backUp()) }).toEqual({ night, unprotected: [] })
      // Some nights there is none.
      sleep(night % 17 === 16 ? 12 : 1)
    }
  })

  it('renews each lock once in the spare time, and asks for one lock a night', async () => {
    const { storage, backUp, sleep } = nights(40, 20)
    await backUp()
    const first = storage.renewals
    for (let night = 1; night <= 30; night++) {
      sleep()
      await backUp()
    }
    const lasting = [...storage.objects.values()].filter(
      ({ modified }) => modified === Date.parse('2026-01-01T02:00:00Z'),
    ).length
    expect(lasting).toBeGreaterThan(5)
    // Ten days to spare: in thirty nights each of the first night's is due three times, and what the others brought not.
    expect(storage.renewals - first).toBeLessThanOrEqual(3 * lasting)
    expect(storage.renewals - first).toBeGreaterThan(lasting)
    expect(storage.looks).toBe(30)
  })

  it('makes no backup where locks cannot be renewed', async () => {
    const { storage, backUp, sleep } = nights(10)
    await backUp()
    sleep(8)
    storage.mayRenew = false
    await expect(backUp()).rejects.toMatchObject({ code: 'STORAGE_REFUSED' })
    expect([...storage.objects.keys()].filter((key) => key.includes('/backups/'))).toHaveLength(1)
  })
})
