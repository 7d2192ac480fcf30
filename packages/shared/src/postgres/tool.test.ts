import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from '@jest/globals'
import { BackupError } from '@securyflex/shared/errors'
import { childEnvironment } from './environment.ts'
import { startTool, type Tool, type ToolOptions } from './tool.ts'
import { rejection, until } from './test-server.ts'

/** A shell script in the place of pg_dump. */
function script(source: string, options: Partial<ToolOptions> = {}): Tool {
  return startTool('/bin/sh', ['-c', source], { env: childEnvironment(), ...options })
}

const half = 'head -c 100000 /dev/zero'

describe('startTool', () => {
  it('hands over the output, and is done when all of it was read and the status is 0', async () => {
    const tool = script('echo hello; echo careful >&2')
    expect(await text(tool.stdout)).toBe('hello\n')
    await tool.done
    expect(tool.messages()).toEqual(['careful'])
  })

  it('lets nobody reach the end of an output whose tool failed', async () => {
    const tool = script(`${half}; echo "no more memory" >&2; exit 1`)
    const error = await rejection(text(tool.stdout))
    expect(error).toMatchObject({ code: 'DUMP_FAILED', message: 'sh failed with status 1: no more memory.' })
    expect(await rejection(tool.done)).toBe(error)
  })

  it('names the signal that killed a tool after half of its output', async () => {
    const tool = script(`${half}; kill -KILL $$`)
    expect(await rejection(text(tool.stdout))).toMatchObject({
      code: 'DUMP_FAILED',
      class: 'transient',
      message: 'sh was killed by SIGKILL.',
      hint: expect.stringContaining('out of memory'),
    })
  })

  it('succeeds with nothing when the tool says nothing and exits with 0', async () => {
    const tool = script('exit 0')
    expect(await text(tool.stdout)).toBe('')
    await tool.done
  })

  it('is not done while a child of the tool still holds its output', async () => {
    const tool = script('(read line; echo late) & exit 0', { stdin: true })
    tool.stdin?.end('go\n')
    expect(await text(tool.stdout)).toMatch(/^(late\n)?$/)
    await tool.done
  })

  it('says that a program is missing or may not be executed', async () => {
    for (const path of ['/nowhere/pg_dump', '/etc/passwd']) {
      const tool = startTool(path, [], { env: childEnvironment() })
      const error = await rejection(text(tool.stdout))
      expect(error).toMatchObject({ code: 'TOOL_MISSING' })
      expect((error as BackupError).message).toContain(path)
    }
  })

  it('stops a tool that is aborted, with the reason that was given, also when nobody reads', async () => {
    const controller = new AbortController()
    const tool = script('yes', { signal: controller.signal })
    await once(tool.stdout, 'readable')
    const reason = new BackupError('CANCELLED', 'The run was cancelled.')
    controller.abort(reason)
    expect(await rejection(tool.done)).toBe(reason)
    expect(() => process.kill(tool.pid ?? 0, 0)).toThrow('ESRCH')
  })

  it('kills a tool that does not listen', async () => {
    const controller = new AbortController()
    const tool = script('trap "" TERM; echo ready; while :; do read never < /dev/tty || sleep 0.1; done', {
      signal: controller.signal,
    })
    await once(tool.stdout, 'readable')
    controller.abort()
    expect(await rejection(tool.done)).toMatchObject({ code: 'CANCELLED', message: 'sh was stopped.' })
    expect(() => process.kill(tool.pid ?? 0, 0)).toThrow('ESRCH')
  })

  it('stops at once when it was aborted before', async () => {
    const tool = script('sleep 60', { signal: AbortSignal.abort() })
    expect(await rejection(tool.done)).toMatchObject({ code: 'CANCELLED' })
  })

  it('gives a tool the variables that are listed and no others', async () => {
    process.env['BACKUP_ENCRYPTION_KEY'] = 'planted'
    const output = await text(script('env').stdout)
    delete process.env['BACKUP_ENCRYPTION_KEY']
    const names = output
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0])
    expect(names.filter((name) => !['PWD', '_', 'SHLVL', 'OLDPWD'].includes(name ?? '')).sort()).toEqual([
      'HOME',
      'LC_MESSAGES',
      'PATH',
      'TMPDIR',
    ])
  })

  it('keeps the last lines of a talkative tool, and no endless one', async () => {
    const tool = script(
      `i=0; while [ $i -lt 500 ]; do echo "line $i" >&2; i=$((i+1)); done; ${half} >&2; exit 3`,
    )
    expect(await rejection(text(tool.stdout))).toMatchObject({
      message: expect.stringContaining('line 499'),
    })
    expect(tool.messages().length).toBeLessThanOrEqual(21)
    expect(tool.messages().join('').length).toBeLessThan(12_000)
  })

  it('quotes what went wrong, not the long statement after it', async () => {
    const tool = script(
      `echo "pg_restore: error: relation exists" >&2; i=0; while [ $i -lt 50 ]; do echo "  column_$i int," >&2; i=$((i+1)); done; exit 1`,
    )
    expect(await rejection(text(tool.stdout))).toMatchObject({
      message: 'sh failed with status 1: pg_restore: error: relation exists.',
    })
  })

  it('dies with the process that started it, when that is killed', async () => {
    const start = `
      import { startTool } from ${JSON.stringify(join(import.meta.dirname, 'tool.ts'))}
      const tool = startTool('/bin/sleep', ['600'], { env: { PATH: '/usr/bin:/bin' } })
      process.stdout.write(tool.pid + '\\n')
      setInterval(() => undefined, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', start], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString())
    expect(pid).toBeGreaterThan(0)
    parent.kill('SIGKILL')
    await once(parent, 'exit')
    if (!existsSync('/usr/bin/setpriv')) process.kill(pid)
    await until(() => {
      try {
        return !process.kill(pid, 0)
      } catch {
        return true
      }
    })
  })
})
