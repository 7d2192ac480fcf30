import { randomBytes } from 'node:crypto'
import { GetObjectRetentionCommand, HeadObjectCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { S3Destination } from '@securyflex/shared/config'
import { Secret } from '@securyflex/shared/errors'
import { openStorage } from '@securyflex/shared/storage'
import { type Ceph, cephIsThere, type CephUser, startCeph } from '../helpers/ceph.ts'
import { cloudContract } from './cloud-contract.ts'
import { storageContract } from './storage-contract.ts'

function destinationOf(
  server: Ceph,
  bucket: string,
  { accessKeyId, secretAccessKey }: Omit<CephUser, 'name'> = server.owner,
): S3Destination {
  return {
    kind: 's3',
    name: 's3',
    bucket,
    prefix: 'production/',
    region: undefined,
    endpoint: server.endpoint,
    pathStyle: true,
    patience: 60_000,
    storageClass: undefined,
    encryption: undefined,
    objectLock: undefined,
    checksums: 'sha256',
    conditionalWrites: true,
    profile: undefined,
    credentials: { accessKeyId, secretAccessKey: new Secret(secretAccessKey), sessionToken: undefined },
  }
}

/** Allows `user` these actions in the bucket and nothing else, as docs/destinations.md has them. */
function statement(user: CephUser, bucket: string, actions: readonly string[]) {
  const resource = `arn:aws:s3:::${bucket}`
  const principal = { AWS: [`arn:aws:iam:::user/${user.name}`] }
  const onBucket = actions.filter((action) => action === 's3:ListBucket')
  const onObjects = actions.filter((action) => action !== 's3:ListBucket')
  return [
    ...(onBucket.length === 0
      ? []
      : [{ Effect: 'Allow', Principal: principal, Action: onBucket, Resource: [resource] }]),
    { Effect: 'Allow', Principal: principal, Action: onObjects, Resource: [`${resource}/production/*`] },
  ]
}

const all = { write: 's3:PutObject', read: 's3:GetObject', list: 's3:ListBucket' }

/** Users that lack one right each. */
async function usersOf(server: Ceph, bucket: string) {
  const adding = await server.addUser('adding')
  const without = {
    write: await server.addUser('without-write'),
    read: await server.addUser('without-read'),
    list: await server.addUser('without-list'),
  }
  const rights = (lacking: string) =>
    Object.entries(all).flatMap(([name, action]) => (name === lacking ? [] : [action]))
  const policy = {
    Version: '2012-10-17',
    Statement: [
      // At Ceph an object belongs to who stored it: the owner of the bucket needs the right to read it, too.
      ...statement(server.owner, bucket, Object.values(all)),
      ...statement(adding, bucket, Object.values(all)),
      ...Object.entries(without).flatMap(([lacking, user]) => statement(user, bucket, rights(lacking))),
    ],
  }
  await server.client().send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify(policy) }))
  return { adding, without }
}

if (cephIsThere()) {
  storageContract('the S3 driver, at Ceph', async () => {
    const server = await startCeph()
    const storage = await openStorage(destinationOf(server, await server.makeBucket('backups')))
    return { storage, close: () => server[Symbol.asyncDispose]() }
  })

  cloudContract('the S3 driver, at Ceph', async () => {
    const server = await startCeph()
    const bucket = await server.makeBucket('backups')
    const destination = destinationOf(server, bucket)
    const { adding, without } = await usersOf(server, bucket)
    const { accessKeyId } = server.owner
    return {
      port: server.port,
      destination,
      at: (endpoint) => ({ ...destination, endpoint }),
      wrongCredentials: [
        destinationOf(server, bucket, { accessKeyId, secretAccessKey: 'wrong' }),
        destinationOf(server, bucket, { accessKeyId: 'nobody', secretAccessKey: 'wrong' }),
      ],
      withoutDeletion: destinationOf(server, bucket, adding),
      without: {
        write: destinationOf(server, bucket, without.write),
        read: destinationOf(server, bucket, without.read),
        list: destinationOf(server, bucket, without.list),
      },
      missing: { ...destination, bucket: 'no-such-bucket' },
      close: () => server[Symbol.asyncDispose](),
    }
  })

  describe('the settings of the S3 driver, at Ceph', () => {
    let server: Ceph
    beforeAll(async () => {
      server = await startCeph()
    })
    afterAll(async () => {
      await server[Symbol.asyncDispose]()
    })
    const body = randomBytes(10_000)

    it('stores with MD5 alone, for stores that refuse the newer headers, and Ceph compares it', async () => {
      const storage = await openStorage({
        ...destinationOf(server, await server.makeBucket('md5')),
        checksums: 'md5',
      })
      await storage.put('object', body)
      expect((await storage.get('object'))?.equals(body)).toBe(true)
    })

    it('without conditional writes still leaves alone what is there', async () => {
      const destination = destinationOf(server, await server.makeBucket('unconditional'))
      const storage = await openStorage({ ...destination, conditionalWrites: false })
      expect(await storage.putIfAbsent('object', body)).toBe(true)
      expect(await storage.putIfAbsent('object', randomBytes(10))).toBe(false)
      expect((await storage.get('object'))?.equals(body)).toBe(true)
    })

    it('encrypts with a key of the customer’s, without which nothing can be read', async () => {
      const destination = destinationOf(server, await server.makeBucket('customer-key'))
      const key = new Secret(randomBytes(32).toString('base64'))
      const storage = await openStorage({ ...destination, encryption: { kind: 'sse-c', key } })
      await storage.put('object', body)
      expect((await storage.get('object'))?.equals(body)).toBe(true)
      expect((await storage.stat('object'))?.size).toBe(body.length)
      const keyless = await openStorage(destination)
      await expect(keyless.get('object')).rejects.toMatchObject({ code: 'STORAGE_REFUSED' })
    })

    it('encrypts with a key of the store’s key service', async () => {
      const destination = destinationOf(server, await server.makeBucket('key-service'))
      const encryption = { kind: 'sse-kms', key: 'testkey-1' } as const
      const storage = await openStorage({ ...destination, encryption })
      await storage.put('object', body)
      expect((await storage.get('object'))?.equals(body)).toBe(true)
      const command = new HeadObjectCommand({ Bucket: 'key-service', Key: 'production/object' })
      const head = await server.client().send(command)
      expect(head.ServerSideEncryption).toBe('aws:kms')
    })

    const at = (bucket: string, objectLock: S3Destination['objectLock'], user?: CephUser) =>
      openStorage({ ...destinationOf(server, bucket, user), objectLock })
    const lockIn = async (bucket: string, key: string) => {
      const command = new GetObjectRetentionCommand({ Bucket: bucket, Key: `production/${key}` })
      const { Retention } = await server.client().send(command)
      const days = ((Retention?.RetainUntilDate?.getTime() ?? 0) - Date.now()) / (24 * 60 * 60 * 1000)
      return { mode: Retention?.Mode, days: Math.round(days) }
    }

    it('renews a lock, and leaves its mode, and one that lasts longer', async () => {
      const bucket = await server.makeBucket('renewed', { objectLock: true })
      const [short, long] = [
        await at(bucket, { mode: 'governance', days: 3 }),
        await at(bucket, { mode: 'governance', days: 40 }),
      ]
      await short.put('object', body)
      // A week more than three days, a quarter more than forty.
      expect(await lockIn(bucket, 'object')).toEqual({ mode: 'GOVERNANCE', days: 10 })
      expect(await short.locks?.isLikeStored('object', new Date())).toBe(true)
      expect(await long.locks?.isLikeStored('object', new Date())).toBe(false)
      await long.locks?.renew('object')
      expect(await lockIn(bucket, 'object')).toEqual({ mode: 'GOVERNANCE', days: 50 })
      expect(await long.locks?.isLikeStored('object', new Date())).toBe(true)
      await short.locks?.renew('object')
      expect(await lockIn(bucket, 'object')).toEqual({ mode: 'GOVERNANCE', days: 50 })
      const strict = await at(bucket, { mode: 'compliance', days: 60 })
      await strict.locks?.renew('object')
      expect(await lockIn(bucket, 'object')).toEqual({ mode: 'GOVERNANCE', days: 75 })
      await strict.put('strict', body)
      await (await at(bucket, { mode: 'governance', days: 80 })).locks?.renew('strict')
      expect(await lockIn(bucket, 'strict')).toEqual({ mode: 'COMPLIANCE', days: 100 })
      expect((await long.get('object'))?.equals(body)).toBe(true)
    })

    it('locks what was stored without a lock, and takes no offence at what is not there', async () => {
      const bucket = await server.makeBucket('unlocked', { objectLock: true })
      const [open, locking] = [
        await at(bucket, undefined),
        await at(bucket, { mode: 'compliance', days: 40 }),
      ]
      expect(open.locks).toBeUndefined()
      await open.put('object', body)
      expect(await locking.locks?.isLikeStored('object', new Date())).toBe(false)
      await locking.locks?.renew('object')
      expect(await lockIn(bucket, 'object')).toEqual({ mode: 'COMPLIANCE', days: 50 })
      await locking.locks?.renew('nothing')
    })

    it('says that credentials may not lock', async () => {
      const bucket = await server.makeBucket('rightless', { objectLock: true })
      const user = await server.addUser('rightless')
      const Policy = JSON.stringify({
        Version: '2012-10-17',
        Statement: statement(user, bucket, Object.values(all)),
      })
      await server.client().send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }))
      const objectLock = { mode: 'governance', days: 3 } as const
      await (await at(bucket, objectLock)).put('object', body)
      const rightless = await at(bucket, { ...objectLock, days: 30 }, user)
      await expect(rightless.locks?.renew('object')).rejects.toMatchObject({
        code: 'STORAGE_REFUSED',
        message: expect.stringMatching(/may not lock/) as unknown,
        hint: expect.stringContaining('s3:PutObjectRetention') as unknown,
      })
    })

    it('locks every object for the days that are set, and says that it is locked', async () => {
      const bucket = await server.makeBucket('locked', { objectLock: true })
      const objectLock = { mode: 'governance', days: 3 } as const
      const storage = await openStorage({ ...destinationOf(server, bucket), objectLock })
      await storage.put('object', body)
      const command = new GetObjectRetentionCommand({ Bucket: bucket, Key: 'production/object' })
      const { Retention } = await server.client().send(command)
      expect(Retention?.Mode).toBe('GOVERNANCE')
      const until = Retention?.RetainUntilDate?.getTime() ?? 0
      expect(until - Date.now()).toBeGreaterThan(2.9 * 24 * 60 * 60 * 1000)
      // With versions a deletion only hides: what is locked is still there.
      await storage.delete('object')
      expect(await storage.get('object')).toBeUndefined()
    })
  })
} else {
  describe('the S3 driver', () => {
    it.skip('is tried at Ceph, whose programs are not on this machine: apt-get install radosgw ceph-mon ceph-osd', () =>
      undefined)
  })
}
