import { describe, expect, it } from '@jest/globals'
import { inspect } from 'node:util'
import { redact, Secret } from './index.ts'

describe('a secret', () => {
  it('shows itself nowhere', () => {
    const secret = new Secret('correct horse')
    expect([String(secret), JSON.stringify({ secret }), inspect(secret)].join()).not.toContain('correct')
    expect(secret.reveal()).toBe('correct horse')
  })

  it('is taken out of every text from then on, also percent-encoded', () => {
    new Secret('s3cret/value')
    expect(redact('xs3cret/valuex and s3cret%2Fvalue')).toBe('x[secret]x and [secret]')
  })

  it('is taken out as a whole word only if it is short, so that other words stay readable', () => {
    new Secret('zest')
    expect(redact('the zestful, user:zest@host, (zest) and zest')).toBe(
      'the zestful, user:[secret]@host, ([secret]) and [secret]',
    )
  })

  it('may hold what means something in a pattern', () => {
    new Secret('a.*(b]')
    expect(redact('it is a.*(b], not aXX(b]')).toBe('it is [secret], not aXX(b]')
  })
})
