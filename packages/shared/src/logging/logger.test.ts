import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { spawnSync } from 'node:child_process'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { BackupError, Secret } from '@securyflex/shared/errors'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { createLogger, type Logger } from './index.ts'
import { RotatingFile } from './rotating-file.ts'

let directory: string
let stream: PassThrough
const ownFile = () => join(directory, `worker.${hostname()}.${process.pid}.log`)

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'logging-'))
  stream = new PassThrough()
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

function shown(): string {
  const chunks: Buffer[] = []
  for (let chunk = read(); chunk !== null; chunk = read()) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const read = () => stream.read() as Buffer | null

function jsonLines(): Record<string, unknown>[] {
  const lines = readFileSync(ownFile(), 'utf8').trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

async function logged(
  write: (logger: Logger) => void,
): Promise<{ text: string; json: Record<string, unknown>[] }> {
  const logger = createLogger({ name: 'worker', directory, level: 'debug', stream })
  write(logger)
  await logger.close()
  return { text: shown(), json: jsonLines() }
}

describe('what is written', () => {
  it('goes to the stream as text and to the file as JSON, with the time in UTC', async () => {
    const { text, json } = await logged((logger) => {
      logger.info('Sealed.', { bytes: 5, note: 'two words' })
    })
    expect(text).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z info  worker: Sealed\. bytes=5 note="two words"\n$/)
    expect(json).toEqual([
      {
        time: expect.any(String),
        level: 'info',
        message: 'Sealed.',
        logger: 'worker',
        bytes: 5,
        note: 'two words',
      },
    ])
  })

  it('carries the fields of each parent', async () => {
    const { text, json } = await logged((logger) => {
      logger.child({ run: 'shop.1' }).child({ step: 'dump' }).warn('Slow.')
    })
    expect(text).toContain('warn  worker [shop.1]: Slow. step=dump\n')
    expect(json[0]).toMatchObject({ run: 'shop.1', step: 'dump', level: 'warn' })
  })

  it('leaves out what is below the level', async () => {
    const logger = createLogger({ name: 'worker', stream, level: 'warn' })
    logger.debug('one')
    logger.info('two')
    logger.warn('three')
    logger.error('four')
    await logger.close()
    expect(shown().match(/one|two|three|four/g)).toEqual(['three', 'four'])
    expect(readdirSync(directory)).toEqual([])
  })

  it('cannot be given a forged line or a terminal command by its text', async () => {
    const { text } = await logged((logger) => {
      logger.info('name\n2026-01-01T00:00:00Z error forged \u001b[2J')
    })
    expect(text.split('\n')[1]).toBe('    2026-01-01T00:00:00Z error forged \\x1b[2J')
  })

  it('is complete with fields that winston knows by name', async () => {
    const { json } = await logged((logger) => {
      logger.info('x', { exception: true, level: 'odd', message: 'odd', time: 'odd', splat: 1 })
    })
    expect(json[0]).toMatchObject({ message: 'x', level: 'info', exception: true })
  })

  it('is complete after close, and nothing comes later', async () => {
    const { json } = await logged((logger) => {
      for (let line = 0; line < 500; line++) logger.info(`line ${line}`)
      void logger.close()
      logger.info('too late')
    })
    expect(json).toHaveLength(500)
    expect(json.at(-1)).toMatchObject({ message: 'line 499' })
  })
})

describe('errors', () => {
  it('say what happened and what to do, with the stack in the file only', async () => {
    const error = new BackupError('KEY_WRONG', 'The key is wrong.', {
      hint: 'Use the other.',
      cause: new Error('tag'),
    })
    const { text, json } = await logged((logger) => {
      logger.child({}).error('Run failed.', { error })
    })
    expect(text).toContain('Run failed. The key is wrong. Use the other.')
    expect(json[0]).toMatchObject({
      error: { code: 'KEY_WRONG', hint: 'Use the other.', cause: { message: 'tag' } },
    })
    expect(JSON.stringify(json[0])).toContain('logger.test.ts')
    const quiet = createLogger({ name: 'worker', stream })
    quiet.error('Run failed.', { error })
    await quiet.close()
    expect(shown()).not.toContain('logger.test.ts')
  })

  it('that are not ours are shown with their stack', async () => {
    const logger = createLogger({ name: 'worker', stream })
    logger.error('Broken.', { error: new TypeError('x is not a function') })
    await logger.close()
    expect(shown()).toContain('logger.test.ts')
  })
})

describe('secrets', () => {
  const planted = 'pl"anted sécret/9'

  it.each<[string, (logger: Logger) => void]>([
    [
      'a message',
      (logger) => {
        logger.info(`using ${planted}`)
      },
    ],
    [
      'a field',
      (logger) => {
        logger.info('x', { deep: [{ value: planted }] })
      },
    ],
    [
      'a Secret',
      (logger) => {
        logger.info('x', { key: new Secret(planted) })
      },
    ],
    [
      'a field named password',
      (logger) => {
        logger.info('x', { dbPassword: planted })
      },
    ],
    [
      'a field’s name',
      (logger) => {
        logger.info('x', { [planted]: 1 })
      },
    ],
    [
      'a map',
      (logger) => {
        logger.info('x', { map: new Map([['k', planted]]) })
      },
    ],
    [
      'an address',
      (logger) => {
        logger.info('x', { at: new URL(`redis://u:${encodeURIComponent(planted)}@h`) })
      },
    ],
    [
      'an error’s stack and causes',
      (logger) => {
        logger.error('x', {
          error: new Error(planted, { cause: new AggregateError([new Error(planted)], planted) }),
        })
      },
    ],
    [
      'a child’s field',
      (logger) => {
        logger.child({ url: `postgresql://u:${encodeURIComponent(planted)}@h/db` }).info('x')
      },
    ],
  ])('are not written from %s', async (_, write) => {
    new Secret(planted)
    const { text } = await logged(write)
    const all = text + readFileSync(ownFile(), 'utf8')
    for (const form of [planted, JSON.stringify(planted).slice(1, -1), encodeURIComponent(planted)]) {
      expect(all).not.toContain(form)
    }
    expect(all).toContain('[secret]')
  })

  it('never reach a file that others may read', async () => {
    await logged((logger) => {
      logger.info('x')
    })
    expect(statSync(ownFile()).mode & 0o777).toBe(0o600)
  })
})

it('writes fields that JSON cannot hold', async () => {
  const circular: Record<string, unknown> = {
    big: 12n,
    date: new Date(0),
    bytes: Buffer.alloc(3),
    none: undefined,
  }
  circular['self'] = circular
  const { json } = await logged((logger) => {
    logger.info('x', { circular })
  })
  expect(json[0]?.['circular']).toEqual({
    big: '12',
    date: '1970-01-01T00:00:00.000Z',
    bytes: '[3 bytes]',
    self: '[circular]',
  })
})

describe('the log directory', () => {
  it.each(['full', 'a file'])('that is %s is reported once and does not stop the process', async (kind) => {
    if (kind === 'full') symlinkSync('/dev/full', ownFile())
    const path = kind === 'full' ? directory : join(directory, 'file')
    if (kind !== 'full') writeFileSync(path, '')
    const logger = createLogger({ name: 'worker', directory: path, stream })
    logger.info('one')
    logger.info('two')
    await logger.close()
    const text = shown()
    expect(text.match(/No log file is written, work goes on/g)).toHaveLength(1)
    expect(text).toMatch(/one[\s\S]*two/)
  })

  it('is made where it is missing', async () => {
    const logger = createLogger({ name: 'worker', directory: join(directory, 'a', 'b'), stream })
    logger.info('x')
    await logger.close()
    expect(readdirSync(join(directory, 'a', 'b'))).toHaveLength(1)
  })

  it('loses files of dead processes after 14 days, and no others', async () => {
    const dead = spawnSync(process.execPath, ['-e', '']).pid
    const names = {
      oldAndDead: `worker.${hostname()}.${dead}.log`,
      oldAndDeadRotated: `cli.${hostname()}.${dead}.log.3`,
      oldElsewhere: 'producer.4f3c.example.12.log',
      oldButAlive: `dashboard.${hostname()}.${process.pid}.log`,
      foreign: 'notes.log',
    }
    const recent = `producer.${hostname()}.${dead}.log`
    const long = Date.now() / 1000 - 15 * 24 * 3600
    for (const name of Object.values(names)) {
      writeFileSync(join(directory, name), '')
      utimesSync(join(directory, name), long, long)
    }
    writeFileSync(join(directory, recent), '')
    await createLogger({ name: 'worker', directory, stream }).close()
    expect(readdirSync(directory).sort()).toEqual([names.oldButAlive, names.foreign, recent].sort())
  })
})

describe('rotation', () => {
  it('keeps five files, the newest lines in the unnumbered one', () => {
    const path = join(directory, 'x', 'worker.log')
    mkdirSync(join(directory, 'x'))
    const file = new RotatingFile(
      path,
      (cause) => {
        throw cause
      },
      20,
    )
    for (let line = 0; line < 20; line++) file.write(`line ${line} 12345\n`)
    expect(readdirSync(join(directory, 'x')).sort()).toEqual(
      ['', '.1', '.2', '.3', '.4'].map((suffix) => `worker.log${suffix}`),
    )
    expect(readFileSync(path, 'utf8')).toBe('line 19 12345\n')
    expect(readFileSync(`${path}.4`, 'utf8')).toBe('line 15 12345\n')
    file.destroy()
  })

  it('tries again after a failure', () => {
    const path = join(directory, 'gone', 'worker.log')
    writeFileSync(join(directory, 'gone'), '')
    const problems: unknown[] = []
    const file = new RotatingFile(path, (cause) => problems.push(cause))
    file.write('lost\n')
    rmSync(join(directory, 'gone'))
    file.write('kept\n')
    expect(existsSync(path) && readFileSync(path, 'utf8')).toBe('kept\n')
    expect(problems).toHaveLength(1)
    file.destroy()
  })
})
