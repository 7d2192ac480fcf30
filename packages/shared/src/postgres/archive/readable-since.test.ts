import { describe, expect, it } from '@jest/globals'
import { readableSince } from './readable-since.ts'

const head = (major: number, minor: number) =>
  Buffer.from([...Buffer.from('PGDMP'), major, minor, 0, 4, 8, 1])

describe('the tools that an archive needs', () => {
  it.each([
    ['pg_dump 11', head(1, 13), undefined],
    ['pg_dump 15', head(1, 14), undefined],
    ['pg_dump 16', head(1, 15), 16],
    ['pg_dump 18', head(1, 16), 17],
    ['a pg_dump of later', head(1, 17), 19],
    ['something else', Buffer.from('-- PostgreSQL database dump'), undefined],
    ['nothing', Buffer.alloc(0), undefined],
  ])('that was made by %s', (_title, bytes, major) => {
    expect(readableSince(bytes)).toBe(major)
  })
})
