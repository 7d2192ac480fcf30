import { describe, expect, it } from '@jest/globals'
import { loadConfig } from './load.ts'
import { readShare, share, shownShare } from './share.ts'

describe('a share', () => {
  it.each([
    ['1/30', 1 / 30],
    ['2 / 3', 2 / 3],
    ['10%', 0.1],
    ['0.5 %', 0.005],
    ['100%', 1],
    ['1/1', 1],
    ['ALL', 1],
  ])('%s', (text, part) => {
    expect(share(text)).toBeCloseTo(part)
    expect(share(shownShare(share(text)))).toBeCloseTo(part)
  })

  it.each(['', '0', '1', '0/3', '3/0', '4/3', '101%', '-1/2', '1/-2', 'half', '0%'])('refuses %s', (text) => {
    expect(() => share(text)).toThrow('is no part of all')
    expect(() => readShare(text)).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })
})

describe('the settings of scrubs', () => {
  const load = (env: Record<string, string>, file = '') =>
    loadConfig({
      env: { DATABASE_URL: 'postgresql://backup@127.0.0.1/shop?sslmode=disable', ...env },
      directory: '/nowhere',
      texts: { file, dotenv: '' },
    }).sources.map(({ name, scrub }) => [name, scrub.schedules.map(({ cron }) => cron), scrub.share])

  it('are a thirtieth each night, unless somebody says otherwise', () => {
    expect(load({})).toEqual([['shop', ['0 4 * * *'], 1 / 30]])
    expect(load({ BACKUP_SCRUB_CRON: '@weekly', BACKUP_SCRUB_SHARE: '25%' })).toEqual([
      ['shop', ['@weekly'], 0.25],
    ])
    expect(load({ BACKUP_SCRUB_CRON: 'off' })).toEqual([['shop', [], 1 / 30]])
    expect(load({ BACKUP_SCHEDULE_ENABLED: 'false' })).toEqual([['shop', [], 1 / 30]])
  })

  it('are inherited one by one', () => {
    const file = `
defaults: { scrub: { share: 1/7 } }
sources:
  crm: { url: 'postgresql://backup@127.0.0.1/crm?sslmode=disable', scrub: { schedule: false } }
  wiki: { url: 'postgresql://backup@127.0.0.1/wiki?sslmode=disable', scrub: { share: all } }
`
    expect(load({ BACKUP_SCRUB_CRON: '30 5 * * *' }, file)).toEqual([
      ['shop', ['30 5 * * *'], 1 / 7],
      ['crm', [], 1 / 7],
      ['wiki', ['30 5 * * *'], 1],
    ])
  })
})
