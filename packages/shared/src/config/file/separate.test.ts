import { describe, expect, it } from '@jest/globals'
import { parse } from 'dotenv'
import fc from 'fast-check'
import { parseConnection } from '../connection/parse.ts'
import { separateSecrets, withVariables } from './separate.ts'
import { substitute } from './substitute.ts'

const nameOf = (what: string) => `S_${what.toUpperCase()}`

describe('the secrets of a connection string', () => {
  it.each([
    ['postgresql://ann:planted1@h:5433/d', 'postgresql://ann:${S_PASSWORD}@h:5433/d'],
    [
      'postgres://ann:p%40lanted1@[::1]/d?sslmode=require',
      'postgres://ann:${S_PASSWORD}@[::1]/d?sslmode=require',
    ],
    ['postgresql://ann@h/d', 'postgresql://ann@h/d'],
    ['postgresql:///d?host=/run&password=planted1', 'postgresql:///d?host=/run&password=${S_PASSWORD}'],
    [
      'postgresql://ann:planted1@h/d?sslpassword=planted2&connect_timeout=3',
      'postgresql://ann:${S_PASSWORD}@h/d?sslpassword=${S_SSLPASSWORD}&connect_timeout=3',
    ],
    ['postgresql://a${b}:planted1@h/d', 'postgresql://a$${b}:${S_PASSWORD}@h/d'],
    ["host=h dbname=d password='two planted\\'1 words'", 'host=h dbname=d password=${S_PASSWORD}'],
    ['password = planted1 host=h', 'password = ${S_PASSWORD} host=h'],
  ])('leave %s', (text, expected) => {
    const separated = separateSecrets(text, nameOf)
    expect(separated.text).toBe(expected)
    expect(substitute(separated.text, separated.secrets, '/')).toMatchObject({ text })
    expect(parse(withVariables('', separated.secrets))).toEqual(separated.secrets)
  })

  it('come back as they were, and none stays behind', () => {
    const word = fc.string({ unit: 'grapheme-ascii', minLength: 6 }).map((text) => `x${text}`)
    fc.assert(
      fc.property(word, word, (user, password) => {
        const text = `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@h/d`
        const separated = separateSecrets(text, nameOf)
        const filled = substitute(separated.text, parse(withVariables('A=1', separated.secrets)), '/')
        if (filled.problem !== undefined) throw new Error(filled.problem.what)
        expect(filled).toMatchObject({ text })
        expect(parseConnection(filled.text, {}).connection.password?.reveal()).toBe(password)
        expect(separated.text).toBe(`postgresql://${encodeURIComponent(user)}:\${S_PASSWORD}@h/d`)
      }),
    )
  })
})
