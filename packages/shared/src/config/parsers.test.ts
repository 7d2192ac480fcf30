import { randomBytes } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { cron } from './cron.ts'
import { key, keys } from './key-strength.ts'
import { boolean, isLoopback, size, stepList, token } from './parsers.ts'
import { timeZone } from './time.ts'

describe('sizes', () => {
  it.each([
    ['0', 0],
    ['1073741824', 2 ** 30],
    ['1GiB', 2 ** 30],
    ['1 gib', 2 ** 30],
    ['1.5GiB', 1.5 * 2 ** 30],
    ['512MB', 512e6],
    ['7B', 7],
    ['2TiB', 2 * 2 ** 40],
  ])('%s', (text, bytes) => {
    expect(size(text)).toBe(bytes)
  })

  it.each(['', 'GiB', '-1', '1G', '1e9', '0x10', '1 GiB 2', '99999999TiB'])('refuses %s', (text) => {
    expect(() => size(text)).toThrow('is not a size')
  })
})

it.each(['true', '1', 'yes', 'YES', 'True'])('%s is true', (text) => {
  expect(boolean(text)).toBe(true)
})
it.each(['false', '0', 'no', 'NO'])('%s is false', (text) => {
  expect(boolean(text)).toBe(false)
})

it.each(['localhost', '127.0.0.1', '127.8.8.8', '::1'])('%s is this machine', (host) => {
  expect(isLoopback(host)).toBe(true)
})
it.each(['0.0.0.0', '::', '192.168.0.1', '127.evil.example', 'example.com'])(
  '%s is not this machine',
  (host) => {
    expect(isLoopback(host)).toBe(false)
  },
)

describe('schedules', () => {
  it.each([
    '0 2 * * *',
    '*/15 * * * *',
    '0 0 1,15 * mon-fri',
    '0  4\t* * 7',
    '0 0 L * *',
    '0 0 29 2 *',
    '0 0 * MAR THU',
    '0 */24 * * *',
    '@daily',
    '@yearly',
  ])('accepts %s', (text) => {
    expect(cron(text)).toBe(text)
  })

  it.each([
    ['58,1-59/50,1 * * * *', '1,51,58 * * * *'],
    ['0 2 * * 0,fri-7', '0 2 * * 0,5,6'],
    ['@midnight', '@daily'],
  ])('takes %s as crontab(5) has it: %s', (text, meant) => {
    expect(cron(text)).toBe(meant)
  })

  it.each([
    ['61 * * * *', 'the minute “61”'],
    ['3,61,3 * * * *', 'the minute “3,61,3”'],
    ['0 0 * * 1#2,1', 'the day of the week “1#2,1”'],
    ['*/90 * * * *', 'the minute “*/90” of “*/90 * * * *” is not possible: a step of 90 is more than the 60'],
    ['0 1,*/36 * * *', 'the hour “1,*/36”'],
    ['0 24 * * *', 'the hour “24”'],
    ['0 0 0 * *', 'the day of the month “0”'],
    ['0 0 * 13 *', 'the month “13”'],
    ['0 0 * * 8', 'the day of the week “8”'],
    ['0 0 * * someday', 'the day of the week “someday”'],
    ['5-1 * * * *', 'the minute “5-1”'],
    ['*/0 * * * *', 'the minute “*/0”'],
    ['H 2 * * *', 'the minute “H”'],
    ['0 H(1-3) * * *', 'the hour “H(1-3)”'],
    ['1,H * * * *', 'the minute “1,H”'],
    ['HHH * * * *', 'the minute “HHH”'],
    ['0 0 * * mon,H', 'the day of the week “mon,H”'],
    ['0 0 30 2 *', 'never happens'],
    ['0 0 2 * * *', 'has 6 fields'],
    ['2 * *', 'has 3 fields'],
    ['@dayly', 'the nearest is @daily'],
    ['@reboot', 'is not a schedule’s name'],
  ])('refuses %s and says why', (text, why) => {
    expect(() => cron(text)).toThrow(why)
  })
})

describe('time zones', () => {
  it.each(['Europe/Amsterdam', 'UTC', 'Asia/Calcutta', 'Etc/GMT+1', 'America/Argentina/Buenos_Aires'])(
    'accepts %s',
    (text) => {
      expect(timeZone(text)).toBe(text)
    },
  )

  it.each([
    ['Europe/Amsterdm', 'Europe/Amsterdam'],
    ['Amerika/New_York', 'America/New_York'],
    ['UTCC', 'UTC'],
    ['+01:00', ''],
  ])('refuses %s; the nearest is %s', (text, nearest) => {
    expect(() => timeZone(text)).toThrow(`the nearest is ${nearest}`)
  })
})

describe('keys', () => {
  it.each([
    randomBytes(32).toString('hex'),
    randomBytes(32).toString('hex').toUpperCase(),
    randomBytes(32).toString('base64'),
    'correct horse battery staple',
    'éàüöß ŵĩťĥ áçčéñţ',
  ])('accepts %s', (text) => {
    expect(key(text).reveal()).toBe(text)
  })

  it.each([
    ['fifteen letters', 'it has 15 characters'],
    ['ab'.repeat(31), 'it has 62 hex digits instead of 64'],
    ['0'.repeat(64), 'the same few'],
    [Buffer.alloc(32, 7).toString('base64'), 'the same few'],
    ['aaaaaaaaaaaaaaaaaaaaaaaa', 'the same few'],
    ['password1password1', 'repeats itself'],
    ['0123456789abcdef'.repeat(4), 'repeats itself'],
    ['abcdefghijklmnopqrstuvwxyz', 'counts up or down'],
    ['zyxwvutsrqponmlkjihg', 'counts up or down'],
    ['👍👍👍👍👍👍👍👍', 'it has 8 characters'],
  ])('refuses %s', (text, why) => {
    expect(() => key(text)).toThrow(
      expect.objectContaining({ code: 'KEY_WEAK', message: expect.stringContaining(why) }),
    )
    expect(() => key(text)).not.toThrow(text)
  })

  it('in a list are separated by commas, or by lines', () => {
    const [one, other] = ['one long passphrase', 'another long passphrase']
    expect(keys(`${one}, ${other},`, '', false).map((secret) => secret.reveal())).toEqual([one, other])
    expect(keys(`${one}, ${other}\n\n${other}`, '', false)).toHaveLength(2)
    expect(() => keys(`${one}, and more`, '', false)).toThrow(
      expect.objectContaining({ remedy: expect.stringContaining('_PREVIOUS_FILE') }),
    )
  })
})

describe('steps of a worker', () => {
  it('are taken with commas or spaces, in the order of the way, each once', () => {
    expect(stepList('upload, compress,UPLOAD encrypt')).toEqual(['compress', 'encrypt', 'upload'])
  })

  it.each(['uplod', 'all', ','])('refuses “%s”', (text) => {
    expect(() => stepList(text)).toThrow()
  })
})

describe('a token', () => {
  it('is taken when it is long enough, and hidden', () => {
    const text = 'c5a7be24e6f9a3b08f1d0c5a'
    expect(token(text).reveal()).toBe(text)
    expect(String(token(text))).not.toContain(text)
  })

  it.each(['too-short', 'long enough but with spaces in it', 'läng-genug-aber-nicht-für-kopfzeilen'])(
    'refuses “%s” without repeating it',
    (text) => {
      expect(() => token(text)).toThrow(/characters|spaces/)
      expect(() => token(text)).not.toThrow(text)
    },
  )
})
