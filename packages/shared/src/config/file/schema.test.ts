import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'
import { z } from 'zod'
import { loadConfig } from '../load.ts'
import { configurationSchema } from './schema.ts'

const docs = join(import.meta.dirname, '../../../../../docs')
const read = (name: string) => readFileSync(join(docs, name), 'utf8')

describe('the schema of the configuration file', () => {
  it('is docs/backup.config.schema.json (npx --no securyflex-backup config schema > docs/backup.config.schema.json)', () => {
    expect(JSON.parse(read('backup.config.schema.json'))).toEqual(configurationSchema())
  })

  it('takes docs/backup.config.example.yaml, as the product does', () => {
    const schema = z.fromJSONSchema(configurationSchema())
    const example = read('backup.config.example.yaml')
    expect(schema.safeParse(parse(example))).toMatchObject({ success: true })
    const env = { HOME: '/nowhere', SHOP_PASSWORD: 'x', BACKUP_WEBHOOK_URL: 'https://h.example/x' }
    const config = loadConfig({ env, directory: '/nowhere', needs: [], texts: { file: example, dotenv: '' } })
    expect(config.sources.length + config.groups.length).toBeGreaterThan(2)
  })

  it.each([
    ['an unknown setting', { defaults: { retenton: {} } }],
    ['a number that is too large', { defaults: { retention: { days: 1e9 } } }],
    ['a word that is none of those', { defaults: { overlap: 'maybe' } }],
    ['a server without an address', { servers: { main: { runs: 2 } } }],
  ])('refuses %s', (_, content) => {
    const schema = z.fromJSONSchema(configurationSchema())
    expect(schema.safeParse(content).success).toBe(false)
  })

  it('takes a variable in place of any value', () => {
    const schema = z.fromJSONSchema(configurationSchema())
    const content = { defaults: { overlap: '${A}', compression: '${B}', retention: { days: '${C}' } } }
    expect(schema.safeParse(content).success).toBe(true)
  })
})
