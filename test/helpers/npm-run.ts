import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { temporaryDirectory } from './temporary-directory.ts'

/** What came of `npm run <script> …` in a package whose script shows the arguments that scripts/npm-flags.mjs makes of it. */
export interface NpmRun {
  readonly status: number
  /** The arguments, where they were not refused. */
  readonly args: string[] | undefined
  readonly stderr: string
}

/** Where npm reads settings beside the command line. */
export interface NpmSettings {
  readonly userConfig?: string
  readonly environment?: Record<string, string>
}

/**
 * Types `npm run backup:restore …` with the npm at this path (npm-cli.js).
 */
export async function npmRun(npm: string, line: string[], settings: NpmSettings = {}): Promise<NpmRun> {
  await using directory = await temporaryDirectory()
  await writeFile(directory.join('user.npmrc'), settings.userConfig ?? '')
  await mkdir(directory.join('package'))
  const scripts = { 'backup:restore': 'node show.mjs' }
  await writeFile(directory.join('package', 'package.json'), JSON.stringify({ name: 'fixture', scripts }))
  await writeFile(directory.join('package', 'show.mjs'), showArguments)
  const environment = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name))),
    npm_config_userconfig: directory.join('user.npmrc'),
    npm_config_update_notifier: 'false',
    ...settings.environment,
  }
  const command = [npm, 'run', '--silent', 'backup:restore', ...line]
  return await new Promise((done) => {
    const options = { cwd: directory.join('package'), env: environment }
    execFile(process.execPath, command, options, (error, stdout, stderr) => {
      const status = typeof error?.code === 'number' ? error.code : error ? 1 : 0
      const shown = /^\[.*\]$/m.exec(stdout)?.[0]
      done({ status, args: shown === undefined ? undefined : (JSON.parse(shown) as string[]), stderr })
    })
  })
}

const showArguments = `
import { argumentsOfNpm, UsageError } from ${JSON.stringify(join(resolve(import.meta.dirname, '../..'), 'scripts/npm-flags.mjs'))}
try {
  console.log(JSON.stringify(argumentsOfNpm(process.argv.slice(2), process.env)))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(error.hint)
  process.exitCode = 2
}
`
