import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { Secret } from '@securyflex/shared/errors'
import { readReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import {
  BackupReader,
  checkBackup,
  listRuns,
  listSources,
  parseRunId,
  readBackup,
} from '@securyflex/shared/repository'
import { openStorageForReading } from '@securyflex/shared/storage'
import { listBackups, readBackup as readBackupOtherwise } from '../helpers/second-reader.ts'

/** Repositories that were written once; see fixtures/write-format-1.ts. */
const root = join(import.meta.dirname, '../fixtures/format-1')
const { secrets, contents } = JSON.parse(readFileSync(join(root, 'contents.json'), 'utf8')) as {
  secrets: Record<string, string | null>
  contents: Record<string, Record<string, string>>
}

const cases = Object.entries(contents).map(([name, streams]) => {
  const [repository = '', run = ''] = name.split('/')
  return { name, repository, run, source: parseRunId(run)?.source ?? '', streams }
})

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const storageOf = (repository: string) =>
  openStorageForReading({ kind: 'local', name: 'local', directory: join(root, repository) })
// Written with the decomposed form of its letters, read with the composed one.
const secretOf = (repository: string) => secrets[repository]?.normalize('NFC')

function keysOf(repository: string): KeyRing {
  const secret = secretOf(repository)
  return new KeyRing({ current: secret === undefined ? undefined : new Secret(secret), previous: [] })
}

describe('a repository of format 1 that was written long ago', () => {
  it('has a backup for every compression, cipher and kind of key', () => {
    expect(cases).toHaveLength(2 * (3 + 6 + 6))
    expect(new Set(cases.map(({ repository }) => repository))).toEqual(new Set(['raw', 'passphrase', 'open']))
  })

  it.each(Object.keys(secrets))('lists all its sources and runs: %s', async (repository) => {
    const storage = storageOf(repository)
    const expected = cases.filter((one) => one.repository === repository)
    expect(new Set(await listSources(storage))).toEqual(new Set(expected.map(({ source }) => source)))
    for (const source of new Set(expected.map((one) => one.source))) {
      const runs = expected.filter((one) => one.source === source).map(({ run }) => run)
      expect([...(await listRuns(storage, source))].sort()).toEqual(runs)
      expect(listBackups(join(root, repository), source)).toEqual(runs)
    }
  })

  it('has segments of every compression under every cipher', () => {
    const codes = new Set(
      readdirSync(root, { recursive: true, withFileTypes: true })
        .filter(({ name }) => /^[0-9a-f]{64}$/.test(name))
        .map(({ parentPath, name }) => readFileSync(join(parentPath, name)))
        .map((sealed) => [sealed[8], sealed[9]].join()),
    )
    expect([...codes].sort()).toEqual(
      [0, 1, 2].flatMap((packed) => [0, 1, 2].map((cipher) => `${packed},${cipher}`)),
    )
  })

  it.each(cases)('is read by the product: $name', async ({ repository, run, source, streams }) => {
    const [storage, keys] = [storageOf(repository), keysOf(repository)]
    const opened = await readBackup(storage, source, run, keys)
    expect(opened.authenticated).toBe(repository !== 'open')
    const reader = new BackupReader(storage, opened)
    for (const stream of opened.manifest.streams) {
      expect([stream.kind, sha256(await reader.readAll(stream))]).toEqual([stream.kind, streams[stream.kind]])
    }
    expect(opened.manifest.streams).toHaveLength(Object.keys(streams).length)
    const signal = new AbortController().signal
    const checked = await checkBackup(storage, reader, {
      predecessor: undefined,
      full: true,
      now: new Date(),
      signal,
    })
    expect(checked.opened).toBeGreaterThan(4)
    expect(await readReport(storage, source, run, keys)).toMatchObject({ run, outcome: 'success' })
  })

  it.each(cases)('is read by the second reader: $name', ({ repository, run, source, streams }) => {
    const read = readBackupOtherwise(join(root, repository), source, run, secretOf(repository))
    expect(read.authenticated).toBe(repository !== 'open')
    expect(Object.fromEntries([...read.streams].map(([kind, bytes]) => [kind, sha256(bytes)]))).toEqual(
      streams,
    )
  })
})
