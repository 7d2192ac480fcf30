import { describe, expect, it } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { npmRun } from '../test/helpers/npm-run.ts'
import { argumentsOfNpm, withoutOurFlags } from './npm-flags.mjs'

const npm = realpathSync(execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim())

describe('npm run', () => {
  it('hands over our flags without --', async () => {
    const { args } = await npmRun(npm, ['latest', '--yes', '--json', '--dry-run'])
    expect(args).toEqual(['latest', '--yes', '--json', '--dry-run'])
  })

  it('hands over everything behind -- as it was typed', async () => {
    const { args } = await npmRun(npm, ['--', 'latest', '--to', 'shop_copy', '--yes'])
    expect(args).toEqual(['latest', '--to', 'shop_copy', '--yes'])
  })

  it.each([
    ['an empty configuration', {}],
    ['a user configuration with yes=false', { userConfig: 'yes=false\n' }],
  ])('takes no flag from %s', async (_title, settings) => {
    expect((await npmRun(npm, ['latest'], settings)).args).toEqual(['latest'])
    expect((await npmRun(npm, ['latest', '--yes'], settings)).args).toEqual(['latest', '--yes'])
  })

  it.each(['yes=true', 'yes = true', 'yes', 'yes="true"'])(
    'does not take %s of a configuration file for an answer',
    async (setting) => {
      const { args, stderr } = await npmRun(npm, ['latest'], { userConfig: `${setting}\n` })
      expect(args).toEqual(['latest'])
      expect(stderr).toContain('npm run backup:restore -- latest --yes')
    },
  )

  it('does not take npm_config_yes of the environment for an answer', async () => {
    const { args } = await npmRun(npm, ['latest'], { environment: { npm_config_yes: 'true' } })
    expect(args).toEqual(['latest'])
  })

  it.each([
    ['separately', ['latest', '--to', 'shop_copy', '--yes']],
    ['with =', ['latest', '--to=shop_copy', '--yes']],
  ])('refuses an option whose value is typed %s, with the right line', async (_title, line) => {
    const { status, stderr } = await npmRun(npm, line)
    expect(status).toBe(2)
    expect(stderr).toContain('Type: npm run backup:restore -- latest --to shop_copy --yes\n')
  })
})

describe('the arguments of a command', () => {
  it('are left alone outside of npm run, whatever npm exported', () => {
    expect(argumentsOfNpm(['latest'], { npm_config_yes: 'true', npm_command: 'exec' })).toEqual(['latest'])
  })

  it('do not reach a nested npm run a second time', () => {
    expect(withoutOurFlags({ npm_config_yes: 'true', npm_config_to: 'x', PATH: '/bin' })).toEqual({
      PATH: '/bin',
    })
  })
})
