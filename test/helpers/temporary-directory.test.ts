import { expect, it } from '@jest/globals'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { temporaryDirectory } from './temporary-directory.ts'

it('is private while it is used and gone afterwards', async () => {
  let path: string
  {
    await using directory = await temporaryDirectory()
    path = directory.path
    writeFileSync(directory.join('file'), 'text')
    expect(statSync(path).mode & 0o777).toBe(0o700)
  }
  expect(existsSync(path)).toBe(false)
})
