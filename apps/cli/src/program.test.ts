import { describe, expect, it } from '@jest/globals'
import type { Command } from 'commander'
import { flags, valued } from '../../../scripts/npm-flags.mjs'
import { buildProgram } from './program.ts'

/** Commands that do something themselves, by what is typed. */
function commandsOf(command: Command, path = ''): [path: string, command: Command][] {
  return command.commands.flatMap((child): [string, Command][] => {
    const own = `${path} ${child.name()}`.trim()
    return child.commands.length > 0 ? commandsOf(child, own) : [[own, child]]
  })
}

const commands = commandsOf(await buildProgram())

function helpOf(command: Command): string {
  let help = ''
  command.configureOutput({ writeOut: (text) => (help += text) })
  command.outputHelp()
  return help
}

describe.each(commands)('%s', (path, command) => {
  it('explains itself with an example that is a line of its own', () => {
    const help = helpOf(command)
    expect(help).toContain('Examples:')
    expect(help).toContain(`  npx --no securyflex-backup ${path}`)
  })

  it('has only options that npm run can hand over', () => {
    const options = command.options.map((option) => [option.long?.slice(2), option.required])
    const unknown = options.filter(([name, required]) => !(required ? valued : flags).includes(String(name)))
    expect(unknown).toEqual([])
  })
})

it('prints JSON wherever a command prints data', () => {
  const without = commands.filter(([, command]) => !command.options.some(({ long }) => long === '--json'))
  expect(without.map(([path]) => path).sort()).toEqual([
    'cancel',
    'dashboard',
    'demo',
    'pause',
    'producer',
    'resume',
    'retry',
    'start',
    'worker',
  ])
})
