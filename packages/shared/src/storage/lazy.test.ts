import { expect, it } from '@jest/globals'
import { BackupError } from '@securyflex/shared/errors'
import { LocalStorage } from './drivers/local.ts'
import { lazily } from './lazy.ts'

it('loads its driver again after that failed, and then no more', async () => {
  let loads = 0
  const load = () => {
    loads += 1
    const missing = new BackupError('STORAGE_REFUSED', 'The file of the credentials is not there.')
    return loads === 1 ? Promise.reject(missing) : Promise.resolve(new LocalStorage('far', '/nowhere'))
  }
  const storage = lazily({ name: 'far', shown: '/nowhere', spare: undefined }, load)
  await expect(storage.get('object')).rejects.toThrow('The file of the credentials is not there.')
  expect(await storage.get('object')).toBeUndefined()
  expect(await storage.until(new AbortController().signal).get('object')).toBeUndefined()
  expect(loads).toBe(2)
})
