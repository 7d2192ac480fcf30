import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from '@jest/globals'
import { temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'

const run = promisify(execFile)

/** Names what is loaded of the clouds' libraries while a directory is written and a cloud is opened, but not used. */
const program = (directory: string) => `
import { registerHooks } from 'node:module'
const loaded = []
registerHooks({
  resolve(specifier, context, next) {
    if (/^(@aws-sdk|@azure|@google-cloud|google-auth-library)/.test(specifier)) loaded.push(specifier)
    return next(specifier, context)
  },
})
const { openStorage } = await import(${JSON.stringify(join(import.meta.dirname, 'index.ts'))})
const storage = await openStorage({ kind: 'local', name: 'local', directory: ${JSON.stringify(directory)} })
await storage.put('object', Buffer.from('x'))
await openStorage({ kind: 's3', name: 'cloud', bucket: 'backups', prefix: '' })
console.log(JSON.stringify(loaded))
`

it('loads no library of a cloud before one is used', async () => {
  await using directory = await temporaryDirectory()
  const args = ['--input-type=module', '--eval', program(directory.path)]
  const { stdout } = await run(process.execPath, args, { cwd: import.meta.dirname })
  expect(JSON.parse(stdout)).toEqual([])
})
