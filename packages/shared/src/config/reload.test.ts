import { writeFileSync } from 'node:fs'
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
})
