import { expect, it } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codes } from '@securyflex/shared/errors'

const page = join(import.meta.dirname, '../../../docs/exit-statuses.md')

it('docs/exit-statuses.md lists every code with its exit status, and no other', async () => {
  const rows = [...(await readFile(page, 'utf8')).matchAll(/^\|\s*(\d+)\s*\|[^|]*\|(.*)\|$/gm)]
  const documented = rows.flatMap(([, status, names = '']) =>
    [...names.matchAll(/`(\w+)`/g)].map(([, code]) => [code, Number(status)]),
  )
  const known = Object.entries(codes).map(([code, { exitStatus }]) => [code, exitStatus])
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(known))
})
