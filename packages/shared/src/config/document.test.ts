import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { format, resolveConfig } from 'prettier'
import { configurationDocument } from './document.ts'
import { loadConfig } from './load.ts'
import { variables } from './variables.ts'

const path = join(import.meta.dirname, '../../../../docs/configuration.md')

/** Certificates of examples are read, and this machine has none of that name; load.test.ts tries them. */
const examples = Object.entries(variables).filter(([name]) => !name.startsWith('REDIS_TLS_'))

describe('docs/configuration.md', () => {
  it('is what the table of variables says (node packages/shared/src/config/document.ts > docs/configuration.md)', async () => {
    const options = { ...(await resolveConfig(path)), filepath: path }
    expect(readFileSync(path, 'utf8')).toBe(await format(configurationDocument(), options))
  })

  it.each(examples)('has a valid example of %s', (name, { example }) => {
    const value = example.replace(/^"(.*)"$/, '$1')
    expect(() => variables[name as keyof typeof variables].parse(value, '/', false)).not.toThrow()
  })

  it('has examples that are valid together, in the syntax of .env', () => {
    // The configuration file's own examples are tried with it.
    const env = examples
      .filter(([name]) => name !== 'BACKUP_CONFIG')
      .map(([name, { example }]) => [name, example.replace(/^"(.*)"$/, '$1')])
    const config = loadConfig({
      env: Object.fromEntries(env) as Record<string, string>,
      directory: '/nowhere',
    })
    expect(config).toMatchObject({ installation: 'amsterdam-1', defaults: { cipher: 'aes-256-gcm' } })
  })
})
