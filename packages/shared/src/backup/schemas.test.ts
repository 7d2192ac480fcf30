import { describe, expect, it } from '@jest/globals'
import { schemasOf } from './schemas.ts'

const line = (name: string, type: string, schema: string) =>
  `--\n-- Name: ${name}; Type: ${type}; Schema: ${schema}; Owner: ann\n--\n\nCREATE …;\n`

describe('the schemas of definitions', () => {
  it('are those that are made, and those that are used and not made', () => {
    const script = [
      line('shop', 'DATABASE', '-'),
      line('audit', 'SCHEMA', '-'),
      line('log', 'TABLE', 'audit'),
      line('orders', 'TABLE', 'public'),
      line('orders_pkey', 'CONSTRAINT', 'public'),
      line('odd; Type: one', 'TABLE', 'Odd "schema"'),
    ].join('\n')
    expect(schemasOf(script)).toEqual({ made: ['audit'], missing: ['public', 'Odd "schema"'] })
  })
})
