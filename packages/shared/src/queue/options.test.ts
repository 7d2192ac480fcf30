import { expect, it } from '@jest/globals'
import { loadConfig } from '@securyflex/shared/config'
import { parseTrigger } from './index.ts'

it.each(['zstd', 'gzip'])(
  'a request for %s without a level means the one of the configuration',
  (algorithm) => {
    const env = { HOME: '/nowhere', BACKUP_COMPRESSION_ALGORITHM: algorithm }
    const { defaults } = loadConfig({ env, directory: '/nowhere' })
    const { options } = parseTrigger({ source: 'shop', options: { compression: algorithm } })
    expect(options.compression).toEqual(defaults.compression)
  },
)
