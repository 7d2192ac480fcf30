import { describe, expect, it } from '@jest/globals'
import { patternParts } from './pattern.ts'

describe('a pattern of names', () => {
  it.each([
    ['orders', ['^(orders)$']],
    ['Orders_2', ['^(orders_2)$']],
    ['"Orders_2"', ['^(Orders_2)$']],
    ['Ünder', ['^(Ünder)$']],
    ['audit.*', ['^(audit)$', '^(.*)$']],
    ['log_?', ['^(log_.)$']],
    ['"a.b"."c""d"', ['^(a\\.b)$', '^(c"d)$']],
    ['"*?"', ['^(\\*\\?)$']],
    ['a"B.*"c', ['^(aB\\.\\*c)$']],
    ['int[]', ['^(int\\[])$']],
    ['[ab]$|x', ['^([ab]\\$|x)$']],
    ['"[]|\\"', ['^(\\[\\]\\|\\\\)$']],
    ['a.b.c', ['^(a)$', '^(b)$', '^(c)$']],
    ['"open', ['^(open)$']],
  ])('%s is the regular expression that pg_dump makes of it', (pattern, parts) => {
    expect(patternParts(pattern)).toEqual(parts)
  })
})
