import { describe, expect, it } from '@jest/globals'
import { inSpool } from './trouble.ts'

describe('a write into the spool', () => {
  it.each([
    ['ENOSPC', 'BACKUP_SPOOL_LIMIT'],
    ['EDQUOT', 'BACKUP_SPOOL_LIMIT'],
    ['EFBIG', 'BACKUP_SPOOL_LIMIT'],
    ['EROFS', 'BACKUP_SPOOL_DIR'],
    ['EIO', 'BACKUP_SPOOL_DIR'],
    ['EACCES', 'BACKUP_SPOOL_DIR'],
  ])('that ends with %s says to change %s', async (code, variable) => {
    const cause = Object.assign(new Error('system'), { code })
    const expected = {
      code: 'SPOOL_UNUSABLE',
      class: 'permanent',
      hint: expect.stringContaining(variable),
      cause,
    }
    await expect(inSpool(() => Promise.reject(cause))).rejects.toMatchObject(expected)
  })

  it('leaves other errors as they are', async () => {
    const gone = Object.assign(new Error('gone'), { code: 'ENOENT' })
    await expect(inSpool(() => Promise.reject(gone))).rejects.toBe(gone)
  })
})
