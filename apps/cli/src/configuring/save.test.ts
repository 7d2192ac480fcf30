import { chownSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { loadConfig, type Texts } from '@securyflex/shared/config'
import { type TemporaryDirectory, temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { save } from './save.ts'

let directory: TemporaryDirectory
beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(() => directory.remove())

const write = (before: Texts, after: Texts) => {
  const paths = { file: directory.join('backup.config.yaml'), dotenv: directory.join('.env') }
  const config = loadConfig({ env: {}, directory: directory.path, needs: [] })
  return save({ name: 'wiki', paths, before, after, variables: [], config, added: config })
}

describe('what is written of a configuration', () => {
  it('is only what changed, secrets first, and for its owner alone', async () => {
    writeFileSync(directory.join('.env'), 'A=1\n', { mode: 0o644 })
    const before = { file: '', dotenv: 'A=1\n' }
    expect(await write(before, { file: '{}\n', dotenv: 'A=1\nB=2\n' })).toEqual(
      ['.env', 'backup.config.yaml'].map((name) => directory.join(name)),
    )
    expect(statSync(directory.join('.env')).mode & 0o777).toBe(0o600)
    expect(await write({ file: '{}\n', dotenv: '' }, { file: '# \n{}\n', dotenv: '' })).toEqual([
      directory.join('backup.config.yaml'),
    ])
  })

  it('is nothing if somebody else wrote the file meanwhile', async () => {
    writeFileSync(directory.join('.env'), 'THEIRS=1\n')
    const refused = write({ file: '', dotenv: '' }, { file: '', dotenv: 'OURS=1\n' })
    await expect(refused).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    expect(readFileSync(directory.join('.env'), 'utf8')).toBe('THEIRS=1\n')
  })

  it('belongs to whom the file or its directory belongs, whoever adds to it', async () => {
    if (process.getuid?.() !== 0) return
    writeFileSync(directory.join('.env'), '')
    chownSync(directory.join('.env'), 65_534, 65_534)
    chownSync(directory.path, 65_533, 65_533)
    await write({ file: '', dotenv: '' }, { file: '{}\n', dotenv: 'A=1\n' })
    expect(statSync(directory.join('.env'))).toMatchObject({ uid: 65_534, gid: 65_534 })
    expect(statSync(directory.join('backup.config.yaml'))).toMatchObject({ uid: 65_533, gid: 65_533 })
    chownSync(directory.path, 0, 0)
  })
})
