import { beforeAll, afterAll, describe, expect, it } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { npmRun } from '../test/helpers/npm-run.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../test/helpers/temporary-directory.ts'

/** npm carries its own dependencies: the package can be run where it was unpacked. */
describe.each(['10.9.9', '11.21.2'])('npm %s run', (version) => {
  let directory: TemporaryDirectory
  let npm: string

  beforeAll(async () => {
    directory = await temporaryDirectory()
    const options = { cwd: directory.path, encoding: 'utf8', stdio: 'pipe' } as const
    const archive = execFileSync('npm', ['pack', '--silent', `npm@${version}`], options).trim()
    execFileSync('tar', ['-xzf', archive], options)
    npm = directory.join('package', 'bin', 'npm-cli.js')
  })

  afterAll(() => directory.remove())

  it('hands over each of our flags without --', async () => {
    const flags = ['--yes', '--force', '--json', '--keep', '--full', '--dry-run', '--follow']
    const { args } = await npmRun(npm, ['latest', ...flags])
    expect(args).toEqual(['latest', ...flags])
  })

  it('takes none from its configuration', async () => {
    const { args } = await npmRun(npm, ['latest'], { userConfig: 'yes=true\nforce=true\njson=true\n' })
    expect(args).toEqual(['latest'])
  })

  it.each([[['--to', 'shop_copy']], [['--to=shop_copy']]])(
    'refuses %j with the right line',
    async (option) => {
      const { status, stderr } = await npmRun(npm, ['latest', ...option])
      expect([status, stderr.trim()]).toEqual([2, 'Type: npm run backup:restore -- latest --to shop_copy'])
    },
  )
})
