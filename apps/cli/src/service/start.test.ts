import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { lives, type RunningCommand, startCommand, until } from '../../../../test/helpers/command.ts'
import { freePort } from '../../../../test/helpers/free-port.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'

let directory: TemporaryDirectory

beforeEach(async () => {
  directory = await temporaryDirectory()
})

afterEach(async () => {
  await directory.remove()
})

function start(settings: Record<string, string> = {}): RunningCommand {
  return startCommand(['start'], { BACKUP_DIR: directory.join('backups'), DASHBOARD_PORT: '0', ...settings })
}

/** Processes that this one started. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => {
      const path = `/proc/${candidate}/stat`
      return existsSync(path) && Number(readFileSync(path, 'utf8').split(') ').at(-1)?.split(' ')[1]) === pid
    })
}

describe('the service', () => {
  it('starts without a database, says what to type, and ends in order without leaving anything', async () => {
    await using service = start()
    await service.line(/DATABASE_URL=postgresql:\/\/\S+ npm start/)
    await service.line(/dashboard \|.*The dashboard is at/)
    await service.line(/worker {4}\|.*Serving all steps/)
    const children = childrenOf(service.pid)
    expect(children).toHaveLength(4)
    service.kill('SIGTERM')
    expect(await service.ended).toBe(0)
    expect(children.filter(lives)).toEqual([])
    expect(existsSync(directory.join('backups', 'service.json'))).toBe(false)
  })

  it('starts a killed worker again, with a visible line', async () => {
    await using service = start()
    await service.line(/worker {4}\|.*Serving all steps/)
    const worker = childrenOf(service.pid).find((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/worker/'),
    )
    if (worker === undefined) throw new Error('There is no worker.')
    process.kill(worker, 'SIGKILL')
    await service.line(/^The worker was killed by SIGKILL; it is started again in 1 s\.$/)
    await until(
      'the worker serves again',
      () => service.lines.filter((line) => /Serving all steps/.test(line)).length === 2,
    )
    service.kill('SIGTERM')
    expect(await service.ended).toBe(0)
  })

  it('is found by other terminals, refuses a second start naming the first, and is stale once it is killed', async () => {
    await using service = start()
    await service.line(/Serving all steps/)
    await using status = startCommand(['status'], { BACKUP_DIR: directory.join('backups') })
    await status.ended
    expect(status.lines.join('\n')).not.toMatch(/No service runs/)
    await using second = start()
    expect(await second.ended).toBe(2)
    expect(second.lines.join('\n')).toContain(`its process is ${service.pid}`)
    const children = childrenOf(service.pid)
    service.kill('SIGKILL')
    await service.ended
    await until('what it had started is gone', () => !children.some(lives))
    await using third = start()
    await third.line(/Serving all steps/)
    third.kill('SIGINT')
    expect(await third.ended).toBe(0)
  })

  it('names a port that is taken, and starts nothing', async () => {
    const port = await freePort()
    const other = createServer().listen(port, '127.0.0.1')
    await once(other, 'listening')
    await using service = start({ DASHBOARD_PORT: String(port) })
    expect(await service.ended).toBe(2)
    expect(service.lines.join('\n')).toContain(`Port ${port} of 127.0.0.1 is taken`)
    expect(service.lines.join('\n')).toContain(`DASHBOARD_PORT=${port + 1} npm start`)
    expect(existsSync(directory.join('backups'))).toBe(false)
    other.close()
  })
})
