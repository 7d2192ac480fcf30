import { mkdir, symlink } from 'node:fs/promises'
import { describe, expect, it } from '@jest/globals'
import { BackupError } from '@securyflex/shared/errors'
import { type Destination, shownPlace } from './destination.ts'
import { loadConfig } from '../load.ts'
import { temporaryDirectory } from '../../../../../test/helpers/temporary-directory.ts'

interface Given {
  readonly env?: Readonly<Record<string, string>>
  /** Lines below `destinations:`. */
  readonly file?: string
}

function load({ env = {}, file }: Given): readonly Destination[] {
  const texts = { file: file === undefined ? '' : `destinations:\n${file}`, dotenv: '' }
  return loadConfig({ env: { HOME: '/nowhere', ...env }, directory: '/srv', needs: [], texts }).destinations
}

function problemOf(given: Given): string {
  try {
    load(given)
  } catch (error) {
    if (error instanceof BackupError) return `${error.message} ${error.hint ?? ''}`
    throw error
  }
  throw new Error('The configuration was accepted.')
}

/** One in the file, called `offsite`. */
const one = (settings: string, env: Readonly<Record<string, string>> = {}) =>
  load({ env, file: `  offsite: ${settings}\n` }).find(({ name }) => name === 'offsite')
const problemOfOne = (settings: string, env: Readonly<Record<string, string>> = {}) =>
  problemOf({ env, file: `  offsite: ${settings}\n` })

const aws = { BACKUP_CLOUD_PROVIDER: 'aws', BACKUP_CLOUD_BUCKET: 'company-backups' }

describe('BACKUP_CLOUD_…', () => {
  it('put one cloud beside the directory of BACKUP_DIR', () => {
    const env = { ...aws, BACKUP_CLOUD_REGION: 'eu-central-1', BACKUP_CLOUD_PREFIX: '/production' }
    expect(load({ env })).toMatchObject([
      { kind: 'local', name: 'local', directory: '/srv/backups/repository' },
      { kind: 's3', name: 'cloud', bucket: 'company-backups', region: 'eu-central-1', prefix: 'production/' },
    ])
  })

  it('stand alone with BACKUP_LOCAL=false', () => {
    const found = load({ env: { ...aws, BACKUP_LOCAL: 'false' } })
    expect(found.map(({ name }) => name)).toEqual(['cloud'])
  })

  it('mean a container at Azure, and a bucket at Google', () => {
    const azure = { AZURE_STORAGE_ACCOUNT: 'company', BACKUP_CLOUD_BUCKET: 'backups' }
    expect(load({ env: { ...azure, BACKUP_CLOUD_PROVIDER: 'azure' } })[1]).toMatchObject({
      kind: 'azure',
      container: 'backups',
      endpoint: 'https://company.blob.core.windows.net',
      credentials: { kind: 'identity' },
    })
    expect(load({ env: { ...aws, BACKUP_CLOUD_PROVIDER: 'gcp' } })[1]).toMatchObject({
      kind: 'gcs',
      bucket: 'company-backups',
      credentials: undefined,
    })
  })

  it('are told by their own names when something is missing or wrong', () => {
    expect(problemOf({ env: { BACKUP_CLOUD_PROVIDER: 'aws' } })).toContain(
      'Set for example BACKUP_CLOUD_BUCKET=company-backups.',
    )
    expect(problemOf({ env: { BACKUP_CLOUD_REGION: 'eu-central-1' } })).toContain(
      'BACKUP_CLOUD_PROVIDER=aws, azure or gcp',
    )
    expect(problemOf({ env: { ...aws, BACKUP_CLOUD_ENDPOINT: 'http://10.0.0.1:9000' } })).toContain(
      'BACKUP_CLOUD_ALLOW_HTTP=true',
    )
    expect(problemOf({ env: { BACKUP_LOCAL: 'false' } })).toContain('there is no other destination')
  })
})

describe('destinations of the file', () => {
  it('leave the directory of BACKUP_DIR out, unless BACKUP_LOCAL asks for it', () => {
    const file = '  nas: { kind: local, directory: /mnt/nas }\n'
    expect(load({ file }).map(({ name }) => name)).toEqual(['nas'])
    const both = load({ file, env: { BACKUP_LOCAL: 'true' } }).map(({ name }) => name)
    expect(both.sort()).toEqual(['local', 'nas'])
  })

  it('may not be called as those that variables describe', () => {
    const file = '  cloud: { kind: local, directory: /mnt/nas }\n'
    expect(problemOf({ file, env: aws })).toMatch(/destinations\.cloud: BACKUP_CLOUD_PROVIDER has/)
  })

  it('are refused settings of another kind', () => {
    expect(problemOfOne('{ kind: local, directory: /mnt, bucket: backups }')).toMatch(
      /offsite\.bucket: a destination of kind local has no such setting/,
    )
  })

  it('are limited in words for people', () => {
    expect(one('{ kind: s3, bucket: backups, uploads: 2, bandwidth: 20MB/s }')).toMatchObject({
      uploads: 2,
      bandwidth: 20_000_000,
    })
    expect(problemOfOne('{ kind: s3, bucket: backups, bandwidth: 1KB }')).toContain('256KiB')
  })
})

describe('a destination of kind s3', () => {
  it('has defaults for Amazon, and others for other makers', () => {
    expect(one('{ kind: s3, bucket: backups }')).toMatchObject({
      endpoint: undefined,
      pathStyle: false,
      checksums: 'sha256',
      conditionalWrites: true,
      patience: 60_000,
      credentials: undefined,
    })
    const other = '{ kind: s3, bucket: backups, endpoint: https://s3.example.com/ }'
    expect(one(other)).toMatchObject({ endpoint: 'https://s3.example.com', pathStyle: true })
  })

  it('takes its own keys before those of the environment, and a profile before those', () => {
    const env = { AWS_ACCESS_KEY_ID: 'environment', AWS_SECRET_ACCESS_KEY: 'its-secret' }
    const own = '{ kind: s3, bucket: backups, accessKeyId: own, secretAccessKey: own-secret }'
    expect(one(own, env)).toMatchObject({ credentials: { accessKeyId: 'own' } })
    expect(one('{ kind: s3, bucket: backups }', env)).toMatchObject({
      credentials: { accessKeyId: 'environment' },
    })
    expect(one('{ kind: s3, bucket: backups, profile: backup }', env)).toMatchObject({
      credentials: undefined,
      profile: 'backup',
    })
  })

  it.each([
    ['half a key', '{ kind: s3, bucket: backups, accessKeyId: x }', 'secretAccessKey'],
    ['a class that sleeps', '{ kind: s3, bucket: backups, storageClass: GLACIER }', 'STANDARD_IA'],
    ['sse-c without a key', '{ kind: s3, bucket: backups, encryption: sse-c }', 'openssl rand -base64 32'],
    ['a lock without days', '{ kind: s3, bucket: backups, objectLock: { mode: compliance } }', 'days: 40'],
    ['plain HTTP', '{ kind: s3, bucket: backups, endpoint: "http://10.0.0.1" }', 'allowHttp: true'],
    ['no bucket', '{ kind: s3 }', 'bucket: company-backups'],
  ])('is refused %s, with what to write', (_, settings, remedy) => {
    expect(problemOfOne(settings)).toContain(remedy)
  })
})

describe('a destination of kind azure', () => {
  const key = Buffer.alloc(32, 7).toString('base64')

  it('reads a connection string of a key, and one of a signature', () => {
    const env = { AZURE: `DefaultEndpointsProtocol=https;AccountName=company;AccountKey=${key}` }
    const settings = "{ kind: azure, container: backups, connectionString: '${AZURE}' }"
    expect(one(settings, env)).toMatchObject({
      endpoint: 'https://company.blob.core.windows.net',
      credentials: { kind: 'key', account: 'company' },
    })
    const signed = {
      AZURE: 'BlobEndpoint=https://company.blob.core.windows.net/;SharedAccessSignature=sp=rl&sig=abcdef',
    }
    expect(one(settings, signed)).toMatchObject({ credentials: { kind: 'sas' } })
  })

  it('is refused more than one way to say who we are', () => {
    const settings = '{ kind: azure, container: backups, account: company, sas: a=b, accountKey: x }'
    expect(problemOfOne(settings)).toContain('Keep one of them')
  })

  it('needs an account', () => {
    expect(problemOfOne('{ kind: azure, container: backups }')).toContain('account: companybackups')
  })
})

describe('a destination of kind gcs', () => {
  it('takes the path of a key file, from the working directory, or its content', () => {
    expect(one('{ kind: gcs, bucket: backups, credentials: keys/gcs.json }')).toMatchObject({
      credentials: { kind: 'file', path: '/srv/keys/gcs.json' },
    })
    const env = { GCS: JSON.stringify({ type: 'service_account', private_key: 'very-secret' }) }
    const settings = "{ kind: gcs, bucket: backups, credentials: '${GCS}' }"
    expect(one(settings, env)).toMatchObject({ credentials: { kind: 'json' } })
    expect(problemOfOne(settings, { GCS: '{ "no": "key" }' })).toContain('workload identity')
  })
})

describe('where a destination is', () => {
  it('is shown without a secret', () => {
    const env = {
      AZURE: 'BlobEndpoint=https://company.blob.core.windows.net;SharedAccessSignature=sp=rl&sig=abcdef',
    }
    const azure = one("{ kind: azure, container: backups, connectionString: '${AZURE}' }", env)
    const s3 = one('{ kind: s3, bucket: backups, prefix: production }')
    expect([azure, s3].map((found) => found && shownPlace(found))).toEqual([
      'https://company.blob.core.windows.net/backups/',
      's3://backups/production/',
    ])
  })
})

describe('two destinations', () => {
  const two = (first: string, second: string) => ({ file: `  a: ${first}\n  b: ${second}\n` })
  const local = (directory: string) => `{ kind: local, directory: ${directory} }`
  const s3 = (more = '') => `{ kind: s3, bucket: backups${more} }`

  it.each([
    ['the same place as', local('/srv/nas'), local('/srv/x/../nas/')],
    ['inside', local('/srv/nas'), local('/srv/nas/shop')],
    ['around', local('/srv/nas/shop'), local('/srv/nas')],
    ['the same place as', s3(), s3(', uploads: 2')],
    ['inside', s3(), s3(', prefix: shop')],
  ])('of which one is %s the other are refused', (how, first, second) => {
    expect(problemOf(two(first, second))).toContain(`destinations.b: it is ${how} “a”.`)
  })

  it('are refused if a symbolic link leads from one to the other', async () => {
    await using directory = await temporaryDirectory()
    await mkdir(directory.join('nas'))
    await symlink(directory.join('nas'), directory.join('link'))
    const given = two(local(directory.join('nas')), local(directory.join('link')))
    expect(problemOf(given)).toContain('destinations.b: it is the same place as “a”.')
  })

  it.each([
    [local('/srv/nas'), local('/srv/nas2')],
    [s3(), s3(', endpoint: "https://s3.example.com"')],
    [s3(', prefix: shop'), s3(', prefix: shop2')],
  ])('are two where they differ: %s, %s', (first, second) => {
    expect(load(two(first, second)).map(({ name }) => name)).toEqual(['a', 'b'])
  })
})
