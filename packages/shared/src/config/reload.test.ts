import { rmSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { type TemporaryDirectory, temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { loadConfig } from './load.ts'
import { reloadConfig } from './reload.ts'

let directory: TemporaryDirectory
beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(() => directory.remove())

const write = (name: string, text: string) => {
  writeFileSync(directory.join(name), text)
}
const options = () => ({ env: { HOME: directory.path }, directory: directory.path })

describe('a configuration that is read again', () => {
  it('names what is added, changed and removed, a password among it', () => {
    const sources = (...lines: string[]) => ['sources:', ...lines.map((line) => `  ${line}`), ''].join('\n')
    write('.env', 'A=planted1\n')
    write(
      'backup.config.yaml',
      sources('a: { url: "postgresql://u:${A}@localhost/a" }', 'b: { url: postgresql://localhost/b }'),
    )
    const before = loadConfig(options())
    expect(reloadConfig(before, options()).changes).toEqual([])
    write('.env', 'A=planted2\n')
    write(
      'backup.config.yaml',
      sources('a: { url: "postgresql://u:${A}@localhost/a" }', 'c: { url: postgresql://localhost/c }'),
    )
    expect(reloadConfig(before, options()).changes).toEqual(['c is added', 'a is changed', 'b is removed'])
  })

  it('keeps what a running process cannot change, and says which variables that is', () => {
    write('.env', 'BACKUP_DIR=/one\nDASHBOARD_PORT=3001\n')
    const before = loadConfig(options())
    write('.env', 'BACKUP_DIR=/two\nDASHBOARD_PORT=3001\nWORKER_CONCURRENCY_RUN=9\nBACKUP_RETENTION_DAYS=7\n')
    const { config, later } = reloadConfig(before, options())
    expect(config).toMatchObject({
      directory: '/one',
      dashboard: { port: 3001 },
      defaults: { retention: { days: 7 } },
    })
    expect(config.worker.concurrency.run).toBe(before.worker.concurrency.run)
    expect(later).toEqual([
      'BACKUP_DIR',
      'BACKUP_SPOOL_DIR and BACKUP_SPOOL_LIMIT',
      'BACKUP_LOG_LEVEL',
      'WORKER_…',
    ])
  })

  const one = 'sources: { a: { url: "postgresql://localhost/a" } }\n'
  it.each<[string, () => void, string]>([
    ['an empty file', () => write('backup.config.yaml', ''), 'backup.config.yaml:1: the file is empty.'],
    [
      'one with remarks only',
      () => write('backup.config.yaml', '# a\n'),
      'backup.config.yaml is gone, or empty.',
    ],
    [
      'one that is gone',
      () => rmSync(directory.join('backup.config.yaml')),
      'backup.config.yaml is gone, or empty.',
    ],
    ['an empty .env', () => write('.env', ''), '.env is gone, or empty.'],
    ['a .env that is gone', () => rmSync(directory.join('.env')), '.env is gone, or empty.'],
    [
      'a file without databases',
      () => write('backup.config.yaml', 'limits: {}\n'),
      'No database is named any more',
    ],
  ])('ends no backups because of %s', (_, change, says) => {
    write('.env', 'BACKUP_ENCRYPTION=true\nBACKUP_ENCRYPTION_KEY=correct horse battery staple\n')
    write('backup.config.yaml', one)
    const before = loadConfig(options())
    change()
    expect(() => reloadConfig(before, options())).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(says) }),
    )
  })

  it('ends them where the file says so, or without the file when DATABASE_URL is all there was', () => {
    write('backup.config.yaml', one)
    const before = loadConfig(options())
    write('backup.config.yaml', 'sources: {}\n')
    expect(reloadConfig(before, options()).changes).toEqual(['a is removed'])
    write('backup.config.yaml', '# nothing yet\n')
    const env = { ...options().env, DATABASE_URL: 'postgresql://localhost/b' }
    const alone = loadConfig({ ...options(), env })
    rmSync(directory.join('backup.config.yaml'))
    expect(reloadConfig(alone, { ...options(), env }).changes).toEqual([])
  })
})
