import { execFileSync } from 'node:child_process'
import { expect, it } from '@jest/globals'
import { countedTogether } from './memory.ts'

it('names a flag that the V8 of this Node.js has', () => {
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' })
  expect(known).toContain(`\n  ${countedTogether} `)
})
