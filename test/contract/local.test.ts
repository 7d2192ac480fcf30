import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it } from '@jest/globals'
import { openStorage, openStorageForReading, type Storage } from '@securyflex/shared/storage'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { testWhere } from '../helpers/test-where.ts'
import { storageContract } from './storage-contract.ts'

const open = (directory: string): Promise<Storage> => openStorage({ kind: 'local', name: 'local', directory })

storageContract('the local driver', async () => {
  const directory = await temporaryDirectory()
  return { storage: await open(directory.join('repository')), close: () => directory.remove() }
})

describe('the local driver', () => {
  it('keeps everything from other users: directories 0700, files 0600', async () => {
    await using directory = await temporaryDirectory()
    const storage = await open(directory.join('new', 'repository'))
    await storage.put('a/b/put', Buffer.from('x'))
    await storage.putIfAbsent('a/b/absent', Buffer.from('x'))
    const modes = ['new', 'new/repository', 'new/repository/a', 'new/repository/a/b'].map((path) =>
      modeOf(directory.join(path)),
    )
    expect(await Promise.all(modes)).toEqual(['700', '700', '700', '700'])
    expect(await modeOf(directory.join('new/repository/a/b/put'))).toBe('600')
    expect(await modeOf(directory.join('new/repository/a/b/absent'))).toBe('600')
  })

  it('closes a directory that was open to others, and leaves a stricter mode alone', async () => {
    await using directory = await temporaryDirectory()
    await mkdir(directory.join('open'), { mode: 0o755 })
    await chmod(directory.join('open'), 0o755)
    await open(directory.join('open'))
    expect(await modeOf(directory.join('open'))).toBe('700')
  })

  it('leaves no unfinished file behind, also when a write fails', async () => {
    await using directory = await temporaryDirectory()
    const storage = await open(directory.path)
    await mkdir(directory.join('taken', 'by'), { recursive: true })
    await storage.put('object', Buffer.from('x'))
    await storage.putIfAbsent('object', Buffer.from('x'))
    await expect(storage.put('taken', Buffer.from('x'))).rejects.toMatchObject({ code: 'STORAGE_REFUSED' })
    expect((await readdir(directory.path)).sort()).toEqual(['object', 'taken'])
  })

  it('does not list what a crash left unfinished', async () => {
    await using directory = await temporaryDirectory()
    const storage = await open(directory.path)
    await writeFile(directory.join('object.tmp-0123456789ab'), 'half')
    await storage.put('object', Buffer.from('x'))
    expect(await keysOf(storage)).toEqual(['object'])
  })

  it('removes what a crash left unfinished below a place, once it is a day old', async () => {
    await using directory = await temporaryDirectory()
    const storage = await open(directory.path)
    await storage.put('shop/segments/ab/object', Buffer.from('x'))
    const [old, young] = ['one.tmp-0123456789ab', 'two.tmp-0123456789ab']
    const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000)
    await storage.put('crm/object', Buffer.from('x'))
    for (const place of ['.', 'crm', 'shop', 'shop/segments/ab']) {
      for (const name of [old, young]) await writeFile(directory.join(place, name), 'half')
      await utimes(directory.join(place, old), yesterday, yesterday)
    }
    const left = async () => {
      const names = await readdir(directory.path, { recursive: true })
      return names.filter((name) => name.includes('.tmp-')).sort()
    }
    expect(await storage.removeUnfinished('shop/')).toBe(2)
    const kept = [`crm/${young}`, `shop/segments/ab/${young}`, `shop/${young}`, young]
    expect(await left()).toEqual([`crm/${old}`, ...kept, old].sort())
    expect(await storage.removeUnfinished('nowhere/')).toBe(0)
    expect((await keysOf(storage)).sort()).toEqual(['crm/object', 'shop/segments/ab/object'])
    // What lies beside the sources goes when the place is opened for writing.
    await open(directory.path)
    expect(await left()).toEqual([`crm/${old}`, ...kept].sort())
  })

  it('creates nothing when it is opened for reading only', async () => {
    await using directory = await temporaryDirectory()
    const storage = openStorageForReading({
      kind: 'local',
      name: 'local',
      directory: directory.join('nothing'),
    })
    expect(await storage.get('repository.json')).toBeUndefined()
    expect(await keysOf(storage)).toEqual([])
    expect(await readdir(directory.path)).toEqual([])
  })

  it('refuses a file in the place of its directory, with what to type', async () => {
    await using directory = await temporaryDirectory()
    await writeFile(directory.join('file'), '')
    const refused = { code: 'STORAGE_REFUSED', hint: expect.stringContaining('BACKUP_DIR') }
    await expect(open(directory.join('file'))).rejects.toMatchObject(refused)
    await expect(open(directory.join('file', 'below'))).rejects.toMatchObject(refused)
    const named = { kind: 'local', name: 'nas', directory: directory.join('file') } as const
    const hint = 'Set destinations.nas.directory to a directory; it is created if it does not exist.'
    await expect(openStorage(named)).rejects.toMatchObject({ hint })
    await expect(openStorageForReading(named).get('object')).rejects.toMatchObject({ hint })
  })

  it('refuses a key below an object', async () => {
    await using directory = await temporaryDirectory()
    const storage = await open(directory.path)
    await storage.put('object', Buffer.from('x'))
    await expect(storage.put('object/below', Buffer.from('x'))).rejects.toMatchObject({
      code: 'STORAGE_REFUSED',
    })
  })

  it('refuses a directory that this user may not write', async () => {
    await using directory = await temporaryDirectory()
    await mkdir(directory.join('repository'), { mode: 0o500 })
    const [said] = await write({ directory: directory.join('repository'), through: withoutRootsRights })
    expect(said).toMatchObject({ code: 'STORAGE_REFUSED', text: expect.stringContaining('ls -ld') })
    expect(await readdir(directory.join('repository'))).toEqual([])
  })

  it('takes a write that is too large for the place for a full one, and leaves nothing of it', async () => {
    await using directory = await temporaryDirectory()
    const [said] = await write({ directory: directory.path, bytes: 100_000, through: withoutRoomFor(65_536) })
    expect(said).toMatchObject({ code: 'STORAGE_FULL', text: expect.stringContaining('df -h') })
    expect(await readdir(directory.join('objects'))).toEqual([])
  })

  testWhere(mayMount(), 'mounting a file system of 256 KiB needs root')(
    'says that a full file system is full, keeps what was stored, and leaves no half object',
    async () => {
      await using directory = await temporaryDirectory()
      const mount = 'mount -t tmpfs -o size=256k,mode=700 tmpfs "$0" && "$@"; ls "$0/objects" >&2'
      const through = ['unshare', '--mount', 'sh', '-c', mount, directory.path]
      const said = await write({ directory: directory.path, objects: 10, bytes: 60_000, through })
      const stored = said.filter((line) => 'stored' in line)
      expect(stored.length).toBeGreaterThan(1)
      expect(said.at(-1)).toMatchObject({
        code: 'STORAGE_FULL',
        left: stored.map((_, number) => String(number)),
      })
    },
  )

  it('holds only whole objects after SIGKILL in the middle of many writes', async () => {
    await using directory = await temporaryDirectory()
    const bytes = 300_000
    for (const killedAfter of [1, 7, 18]) {
      const place = directory.join(String(killedAfter))
      const child = spawn(process.execPath, [writer, place, '100000', String(bytes)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let last = -1
      for await (const line of createInterface(child.stdout)) {
        last = (JSON.parse(line) as { stored: number }).stored
        if (last === killedAfter) child.kill('SIGKILL')
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      const storage = await open(place)
      const keys = await keysOf(storage)
      for (let number = 0; number <= last; number++) expect(keys).toContain(`objects/${String(number)}`)
      for (const key of keys) {
        const number = Number(key.slice('objects/'.length))
        expect((await storage.get(key))?.equals(Buffer.alloc(bytes, number % 256))).toBe(true)
      }
    }
  })
})

const writer = join(import.meta.dirname, '../fixtures/storage-writer.ts')

/** Root may write anywhere; without this capability its rights are those of a file's owner. */
const withoutRootsRights =
  process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : []

/** A limit on file sizes stands for a place without room; the signal that comes with it is not wanted. */
function withoutRoomFor(bytes: number): string[] {
  if (process.platform === 'linux')
    return ['prlimit', `--fsize=${String(bytes)}`, 'env', '--ignore-signal=XFSZ']
  return ['sh', '-c', `trap "" XFSZ; ulimit -f ${String(bytes / 512)}; exec "$@"`, 'sh']
}

function mayMount(): boolean {
  return spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0
}

interface Writing {
  readonly directory: string
  readonly objects?: number
  readonly bytes?: number
  /** A command that runs the writer. */
  readonly through: readonly string[]
}

/** Runs the writer to its end and gives what it said; the last line also tells the files that a shell saw left. */
async function write({
  directory,
  objects = 1,
  bytes = 1,
  through,
}: Writing): Promise<Record<string, unknown>[]> {
  const [program, ...args] = [...through, process.execPath, writer, directory, String(objects), String(bytes)]
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err] = [child.stdout, child.stderr].map((stream) => stream.toArray())
  await once(child, 'close')
  const said = Buffer.concat((await out) as Buffer[])
    .toString()
    .trim()
    .split('\n')
  const left = Buffer.concat((await err) as Buffer[])
    .toString()
    .trim()
    .split('\n')
    .sort()
  if (said[0] === '') throw new Error(left.join('\n'))
  const lines = said.map((line) => JSON.parse(line) as Record<string, unknown>)
  return lines.map((line, index) => (index === lines.length - 1 ? { ...line, left } : line))
}

async function keysOf(storage: Storage): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of storage.list('')) keys.push(key)
  return keys.sort()
}

async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8)
}
