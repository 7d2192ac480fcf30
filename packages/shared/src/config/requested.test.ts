import { writeFile } from 'node:fs/promises'
import { expect, it } from '@jest/globals'
import { temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { loadConfig, optionsToAsk, settingsOf } from './index.ts'

const file = `
sources:
  shop: { url: postgresql://backup@127.0.0.1/shop, encryption: aes-256-gcm, retention: { days: 90 } }
  wiki: { url: postgresql://backup@127.0.0.1/wiki }
`

it('asks for what a variable says only where the source itself says nothing', async () => {
  await using directory = await temporaryDirectory()
  await writeFile(directory.join('backup.config.yaml'), file, { mode: 0o600 })
  const env = {
    BACKUP_ENCRYPTION: 'false',
    BACKUP_ENCRYPTION_KEY: 'a long enough passphrase for tests',
    BACKUP_RETENTION_DAYS: '7',
    BACKUP_COMPRESSION_ALGORITHM: 'gzip',
  }
  const config = loadConfig({ env, directory: directory.path, needs: [] })
  const asked = (source: string) => optionsToAsk(config, settingsOf(config, source))
  const compression = { algorithm: 'gzip', level: 6 }
  expect(asked('shop')).toEqual({ compression })
  expect(asked('wiki')).toEqual({ compression, cipher: 'none', retentionDays: 7 })
})
