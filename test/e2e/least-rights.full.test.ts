import { writeFile } from 'node:fs/promises'
import {
  DeleteBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  GetBucketPolicyCommand,
  GetObjectCommand,
  GetObjectRetentionCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectAclCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import {
  BlobServiceClient,
  ContainerClient,
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
} from '@azure/storage-blob'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { KeyRing } from '@securyflex/shared/keys'
import { readBackup } from '@securyflex/shared/repository'
import { type Azurite, startAzurite } from '../helpers/azurite.ts'
import { type Ceph, cephIsThere, type CephUser, startCeph } from '../helpers/ceph.ts'
import {
  bucketPolicy,
  type DocumentedPolicies,
  forOtherMakers,
  lettersAtAzure,
  policiesAtS3,
} from '../helpers/documented-rights.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { indexOf } from '../helpers/repository.ts'
import { backUp, command, restoreLatest } from '../helpers/round-trip.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'
import { testWhere } from '../helpers/test-where.ts'

jest.setTimeout(300_000)

/** Each run gives up the backup before it. */
const retention = { BACKUP_RETENTION_LAST: '1', BACKUP_RETENTION_MINIMUM: '1' }

/** An installation that backs up to one store, called `store`, and the directory of its configuration. */
async function startAt(
  settings: string,
  env: Readonly<Record<string, string>>,
): Promise<{ installation: Installation; directory: TemporaryDirectory }> {
  const directory = await temporaryDirectory()
  const file = directory.join('one.yaml')
  await writeFile(file, `destinations:\n  store: ${settings}\n`)
  const installation = await startInstallation({ BACKUP_CONFIG: file, ...retention, ...env })
  await installation.database.query(
    'CREATE TABLE orders AS SELECT n AS id, md5(n::text) AS note FROM generate_series(1, 5000) AS n',
  )
  return { installation, directory }
}

/** Two whole runs by who may add and never remove: good, verified, listed, and nothing pruned, which is said. */
async function expectAdding(installation: Installation): Promise<void> {
  await backUp(installation)
  await installation.database.query("INSERT INTO orders VALUES (5001, 'new')")
  const second = await backUp(installation)
  const report = await installation.report(second)
  expect(report).toMatchObject({ outcome: 'success', destinations: [{ outcome: 'verified' }] })
  const stay = /^Old backups stay at store until one who may removes them: These credentials may not delete/
  expect(report?.warnings).toEqual([expect.stringMatching(stay)])
  expect(await runsAt(installation)).toHaveLength(2)
  const verified = await command(installation, 'verify', 'latest', '--full', '--json')
  expect(JSON.parse(verified.stdout)).toMatchObject({ results: [{ run: second, problem: null }] })
  await expect(command(installation, 'prune', '--yes')).rejects.toMatchObject({
    code: 6,
    stderr: expect.stringContaining('Nothing may be removed from store') as unknown,
  })
  expect(await runsAt(installation)).toHaveLength(2)
}

/** The same installation, by who may prune, too: the first backup goes, the second is whole. */
async function expectPruning(installation: Installation, env: Installation['env']): Promise<void> {
  await command({ env }, 'prune', '--yes')
  expect(await runsAt({ env })).toHaveLength(1)
  const to = `${installation.database.name}_restored`
  try {
    expect((await restoreLatest({ env }, to)).comparison?.differences).toEqual([])
  } finally {
    await installation.database.query(`DROP DATABASE IF EXISTS "${to}" WITH (FORCE)`)
  }
}

async function runsAt(installation: Pick<Installation, 'env'>): Promise<string[]> {
  const { stdout } = await command(installation, 'list', '--json')
  return (JSON.parse(stdout) as { backups: { run: string }[] }).backups.map(({ run }) => run)
}

const test = testWhere(
  cephIsThere(),
  'Ceph is missing; as root on Debian `npm run test:full` installs it: radosgw ceph-mon ceph-osd',
)

describe('the least rights at S3, as docs/destinations.md has them, at Ceph', () => {
  const bucket = 'shared'
  const prefix = 'shop-production/'
  let ceph: Ceph
  let user: CephUser
  let policies: DocumentedPolicies
  let place: Awaited<ReturnType<typeof startAt>>
  let client: S3Client

  if (cephIsThere()) {
    beforeAll(async () => {
      ceph = await startCeph()
      await ceph.makeBucket(bucket)
      await ceph.makeBucket('another')
      user = await ceph.addUser('backup')
      policies = await policiesAtS3(bucket, prefix)
      for (const [Bucket, Key] of [
        [bucket, 'other/secret'],
        ['another', `${prefix}secret`],
      ])
        await ceph.client().send(new PutObjectCommand({ Bucket, Key, Body: 'secret' }))
      const { accessKeyId, secretAccessKey } = user
      const settings = { kind: 's3', bucket, prefix, endpoint: ceph.endpoint, allowHttp: true, accessKeyId }
      place = await startAt(JSON.stringify({ ...settings, secretAccessKey: `\${STORE_SECRET}` }), {
        STORE_SECRET: secretAccessKey,
      })
      const region = 'us-east-1'
      client = new S3Client({ endpoint: ceph.endpoint, region, forcePathStyle: true, credentials: user })
    })
    afterAll(async () => {
      await place.installation[Symbol.asyncDispose]()
      await place.directory.remove()
      await ceph[Symbol.asyncDispose]()
    })
  }

  const allow = async (statements: DocumentedPolicies['add']) => {
    const Policy = bucketPolicy(user.name, statements)
    await ceph.client().send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }))
  }
  const denied = { $metadata: { httpStatusCode: 403 } }

  /** What no policy of the document allows. */
  async function expectTheRestForbidden(): Promise<void> {
    const elsewhere = [
      { Bucket: bucket, Key: 'other/secret' },
      { Bucket: 'another', Key: `${prefix}secret` },
    ]
    for (const at of elsewhere) {
      await expect(client.send(new GetObjectCommand(at))).rejects.toMatchObject(denied)
      await expect(client.send(new PutObjectCommand({ ...at, Body: 'mine' }))).rejects.toMatchObject(denied)
      await expect(client.send(new DeleteObjectCommand(at))).rejects.toMatchObject(denied)
    }
    const listings = [
      { Bucket: bucket, Prefix: 'other/' },
      { Bucket: 'another', Prefix: prefix },
    ]
    for (const of of listings)
      await expect(client.send(new ListObjectsV2Command(of))).rejects.toMatchObject(denied)
    const Bucket = bucket
    const Policy = bucketPolicy(user.name, [...policies.add, policies.prune])
    const VersioningConfiguration = { Status: 'Suspended' } as const
    await expect(client.send(new GetBucketPolicyCommand({ Bucket }))).rejects.toMatchObject(denied)
    await expect(client.send(new PutBucketPolicyCommand({ Bucket, Policy }))).rejects.toMatchObject(denied)
    await expect(client.send(new DeleteBucketPolicyCommand({ Bucket }))).rejects.toMatchObject(denied)
    await expect(
      client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration })),
    ).rejects.toMatchObject(denied)
    await expect(client.send(new DeleteBucketCommand({ Bucket }))).rejects.toMatchObject(denied)
    // What the user stored itself is another matter at Ceph; the document says so.
    const publicly = new PutObjectAclCommand({ Bucket, Key: 'other/secret', ACL: 'public-read' })
    await expect(client.send(publicly)).rejects.toMatchObject(denied)
  }

  test('as they are for Amazon: Ceph lists below the prefix, and nothing else', async () => {
    await allow(policies.add)
    const Bucket = bucket
    const listed = await client.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }))
    expect(listed.$metadata.httpStatusCode).toBe(200)
    await expect(client.send(new ListObjectsV2Command({ Bucket }))).rejects.toMatchObject(denied)
    await expectTheRestForbidden()
  })

  test('to add, and never to remove: whole runs are made, verified and listed, and nothing goes', async () => {
    await allow(forOtherMakers(policies.add))
    await expectAdding(place.installation)
    const own = { Bucket: bucket, Key: `${prefix}repository.json` }
    await expect(client.send(new DeleteObjectCommand(own))).rejects.toMatchObject(denied)
    await expectTheRestForbidden()
  })

  test('to add and to prune: what is old goes, and nothing else is allowed', async () => {
    await allow(forOtherMakers([...policies.add, policies.prune]))
    await expectPruning(place.installation, place.installation.env)
    await expectTheRestForbidden()
  })

  test('with object lock: each run locks all that it needs for its own days, and nobody may shorten that', async () => {
    const Bucket = await ceph.makeBucket('locked', { objectLock: true })
    const { add, lock } = await policiesAtS3(Bucket, prefix)
    const Policy = bucketPolicy(user.name, [...forOtherMakers(add), lock])
    await ceph.client().send(new PutBucketPolicyCommand({ Bucket, Policy }))
    const at = { kind: 's3', bucket: Bucket, prefix, endpoint: ceph.endpoint, allowHttp: true }
    const credentials = { accessKeyId: user.accessKeyId, secretAccessKey: `\${STORE_SECRET}` }
    const locked = (days: number) =>
      JSON.stringify({ ...at, ...credentials, objectLock: { mode: 'compliance', days } })
    const { installation, directory } = await startAt(locked(1), { STORE_SECRET: user.secretAccessKey })
    await using _ = installation
    await using __ = directory
    await installation.database.query(
      'CREATE TABLE many AS SELECT n, repeat(md5(n::text), 32) AS text FROM generate_series(1, 20000) AS n',
    )
    await backUp(installation)
    const first = await locksIn(Bucket)
    expect(first.length).toBeGreaterThan(4)
    expect(new Set(first.map(({ days }) => days))).toEqual(new Set([8]))
    // What the second run only names has the longer days, too.
    await writeFile(directory.join('one.yaml'), `destinations:\n  store: ${locked(30)}\n`)
    const second = await backUp(installation)
    const keys = new KeyRing(installation.config.keys)
    const opened = await readBackup(installation.storage, 'shop', second, keys)
    const index = await indexOf(installation.storage, opened)
    const ids = new Set([...index].map(({ id }) => id.toString('hex')))
    const needed = (await locksIn(Bucket)).filter(
      ({ key }) => ids.has(key.split('/').at(-1) ?? '') || key.includes(second) || !key.includes('/shop/'),
    )
    const referenced = needed.filter(({ key }) => first.some((one) => one.key === key))
    expect(referenced.filter(({ key }) => key.includes('/segments/')).length).toBeGreaterThan(1)
    expect(needed.length).toBe(ids.size + 4)
    expect(needed.filter(({ days, mode }) => days < 37 || mode !== 'COMPLIANCE')).toEqual([])
    const Key = `${prefix}shop/backups/${second}.json`
    const RetainUntilDate = new Date(Date.now() + 60_000)
    for (const Mode of ['COMPLIANCE', 'GOVERNANCE'] as const) {
      const Retention = { Mode, RetainUntilDate }
      const shorter = { Bucket, Key, Retention, BypassGovernanceRetention: true }
      await expect(client.send(new PutObjectRetentionCommand(shorter))).rejects.toMatchObject(denied)
    }
    await expect(client.send(new DeleteObjectCommand({ Bucket, Key }))).rejects.toMatchObject(denied)
  })

  /** The lock of every object below the prefix. */
  async function locksIn(Bucket: string) {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }))
    const keys = Contents.flatMap(({ Key }) => Key ?? [])
    const locks = keys.map(async (Key) => {
      const { Retention } = await client.send(new GetObjectRetentionCommand({ Bucket, Key }))
      const ends = Retention?.RetainUntilDate?.getTime() ?? 0
      return { key: Key, mode: Retention?.Mode, days: Math.round((ends - Date.now()) / 86_400_000) }
    })
    return Promise.all(locks)
  }
})

describe('the least rights at Azure, as docs/destinations.md has them, at Azurite', () => {
  let azurite: Azurite
  let owner: BlobServiceClient
  let place: Awaited<ReturnType<typeof startAt>>
  let adding: string
  let pruning: string

  beforeAll(async () => {
    azurite = await startAzurite()
    owner = new BlobServiceClient(azurite.endpoint, azurite.credential)
    const another = owner.getContainerClient('another')
    await another.create()
    await another.uploadBlockBlob('secret', 'secret', 6)
    adding = await signature('add, and never remove')
    pruning = await signature('add and prune')
    const { container, endpoint } = azurite
    const settings = { kind: 'azure', container, endpoint, allowHttp: true, sas: `\${STORE_SAS}` }
    place = await startAt(JSON.stringify(settings), { STORE_SAS: adding })
  })
  afterAll(async () => {
    await place.installation[Symbol.asyncDispose]()
    await place.directory.remove()
    await azurite[Symbol.asyncDispose]()
  })

  async function signature(row: Parameters<typeof lettersAtAzure>[0]): Promise<string> {
    const permissions = ContainerSASPermissions.parse(await lettersAtAzure(row))
    const expiresOn = new Date(Date.now() + 60 * 60 * 1000)
    const values = { containerName: azurite.container, permissions, expiresOn }
    return generateBlobSASQueryParameters(values, azurite.credential).toString()
  }

  const refused = { statusCode: 403 }

  /** What neither signature allows. */
  async function expectTheRestForbidden(sas: string): Promise<void> {
    const retryOptions = { maxTries: 1 }
    const at = (container: string) =>
      new ContainerClient(`${azurite.endpoint}/${container}?${sas}`, undefined, { retryOptions })
    const own = at(azurite.container)
    await expect(own.delete()).rejects.toMatchObject(refused)
    await expect(own.setAccessPolicy('blob')).rejects.toMatchObject(refused)
    await expect(own.getAccessPolicy()).rejects.toMatchObject(refused)
    await expect(own.setMetadata({ mine: 'yes' })).rejects.toMatchObject(refused)
    const other = at('another')
    await expect(other.getBlobClient('secret').downloadToBuffer()).rejects.toMatchObject(refused)
    await expect(other.uploadBlockBlob('secret', 'mine', 4)).rejects.toMatchObject(refused)
    await expect(other.getBlobClient('secret').delete()).rejects.toMatchObject(refused)
    await expect(other.listBlobsFlat().next()).rejects.toMatchObject(refused)
    const account = new BlobServiceClient(`${azurite.endpoint}?${sas}`, undefined, { retryOptions })
    await expect(account.listContainers().next()).rejects.toMatchObject(refused)
    await expect(account.createContainer('mine')).rejects.toMatchObject(refused)
  }

  it('to add, and never to remove: whole runs are made, verified and listed, and nothing goes', async () => {
    await expectAdding(place.installation)
    const url = `${azurite.endpoint}/${azurite.container}/repository.json?${adding}`
    expect((await fetch(url)).status).toBe(200)
    expect((await fetch(url, { method: 'DELETE', headers: { 'x-ms-version': '2021-12-02' } })).status).toBe(
      403,
    )
    await expectTheRestForbidden(adding)
  })

  it('to add and to prune: what is old goes, and nothing else is allowed', async () => {
    await expectPruning(place.installation, { ...place.installation.env, STORE_SAS: pruning })
    await expectTheRestForbidden(pruning)
  })
})
