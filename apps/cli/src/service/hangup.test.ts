import { afterEach, beforeEach, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { lives, startCommand, until } from '../../../../test/helpers/command.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { hasTerminals, startOnTerminal } from '../../../../test/helpers/terminal.ts'

let directory: TemporaryDirectory
let env: Record<string, string>

beforeEach(async () => {
  directory = await temporaryDirectory()
  env = {
    BACKUP_DIR: directory.join('backups'),
    BACKUP_CONFIG: directory.join('backup.config.yaml'),
    DASHBOARD_PORT: '0',
  }
  await configure('shop')
})
afterEach(() => directory.remove())

const configure = (...names: string[]) =>
  writeFile(
    directory.join('backup.config.yaml'),
    ['sources:', ...names.map((name) => `  ${name}: { url: postgresql://localhost/${name} }`), ''].join('\n'),
  )
const word = () =>
  JSON.parse(readFileSync(directory.join('backups', 'service.json'), 'utf8')) as {
    pid: number
    sources: { name: string }[]
  }

it('SIGHUP has every part of the service read a changed configuration, and none a wrong one', async () => {
  await using service = startCommand(['start'], env)
  await service.line(/dashboard \|.*The dashboard is at/)
  await service.line(/worker {4}\|.*Serving all steps/)
  await service.line(/producer {2}\|.*Backups of shop/)
  await configure('shop', 'wiki')
  service.kill('SIGHUP')
  await service.line(/^The configuration was read again: wiki is added\./)
  await service.line(/worker {4}\|.*read again: wiki is added/)
  await service.line(/producer {2}\|.*Backups of wiki/)
  await until(
    'the dashboard is back',
    () => service.lines.filter((line) => /The dashboard is at/.test(line)).length === 2,
  )
  expect(word().sources.map(({ name }) => name)).toEqual(['shop', 'wiki'])

  await writeFile(directory.join('backup.config.yaml'), 'sources: { wiki: { uri: x } }\n')
  service.kill('SIGHUP')
  await service.line(/^The changed configuration is not taken.*sources\.wiki\.uri: there is no such setting/)
  expect(service.lines.filter((line) => /\|.*not taken/.test(line))).toEqual([])
  service.kill('SIGTERM')
  expect(await service.ended).toBe(0)
})

const onTerminal = hasTerminals ? it : it.skip
onTerminal('a closed terminal ends the service, as ever', async () => {
  const service = startOnTerminal(['start'], env)
  await service.shows(/Serving all steps/)
  const { pid } = word()
  await service[Symbol.asyncDispose]()
  await until('the service has ended', () => !lives(pid))
})
