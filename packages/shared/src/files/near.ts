import {
  close,
  closeSync,
  type Dirent,
  open,
  openSync,
  readdirSync,
  readFileSync,
  type Stats,
  statSync,
  write,
  writeSync,
} from 'node:fs'
import { readdir, readFile, stat, statfs } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'

/** The calls of `node:fs` that wait for a disk only in passing. Errors are its own. */
export interface Disk {
  readonly names: (directory: string) => Promise<Dirent[]>
  readonly stat: (path: string) => Promise<Stats>
  readonly read: (path: string) => Promise<Buffer>
  /** @returns the file's descriptor */
  readonly open: (path: string, flags: 'r' | 'wx', mode?: number) => Promise<number>
  readonly close: (file: number) => Promise<void>
  /** Writes what it can of `bytes`. @returns how much */
  readonly write: (file: number, bytes: Uint8Array) => Promise<number>
}

/** File systems that are a disk of this machine, or its memory, by what statfs(2) of Linux calls them. */
const ofThisMachine: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0x2fc12fc1, // ZFS
  0xf2f52010, // F2FS
  0x01021994, // tmpfs
  0x794c7630, // overlayfs, as in containers
])

/** What is longer is not read or written while everything else waits. */
const longest = 64 * 1024

const writeByThread = async (file: number, bytes: Uint8Array) =>
  (await promisify(write)(file, bytes)).bytesWritten

export const byThreads: Disk = {
  names: (directory) => readdir(directory, { withFileTypes: true }),
  stat,
  read: (path) => readFile(path),
  open: promisify(open),
  close: promisify(close),
  write: writeByThread,
}

/** As many looks in a row, then everything else has its turn: a listing may be of a million files. */
const inARow = 100
let looks = 0

async function at<T>(look: () => T): Promise<T> {
  looks += 1
  if (looks % inARow === 0) await setImmediate()
  return look()
}

const atOnce: Disk = {
  names: (directory) => at(() => readdirSync(directory, { withFileTypes: true })),
  stat: (path) => at(() => statSync(path)),
  async read(path) {
    const { size } = await at(() => statSync(path))
    return size > longest ? readFile(path) : readFileSync(path)
  },
  open: (path, flags, mode) => at(() => openSync(path, flags, mode)),
  close: (file) =>
    at(() => {
      closeSync(file)
    }),
  write: (file, bytes) =>
    bytes.length > longest ? writeByThread(file, bytes) : at(() => writeSync(file, bytes)),
}

/** In ms: something else may be mounted there meanwhile. */
const askedEvery = 60_000

/**
 * How to reach what is below a directory. To hand such a call to another thread costs some twenty times what the call
 * does (0.1 to 0.2 ms of CPU time for one of 5 to 10 µs), so on a disk of this machine it is not handed on. A mount of
 * another machine may be silent for minutes, in which this program would do nothing else: there it is, as wherever it is
 * not known what the file system is. Whatever waits for the disk by its nature (fsync, long files) is handed on in any
 * case, and so is the question, which such a mount answers no sooner.
 */
export class DiskBelow {
  readonly #directory: string
  #answer: Promise<Disk> | undefined
  #asked = 0
  #isAsking = false

  constructor(directory: string) {
    this.#directory = directory
  }

  get(): Promise<Disk> {
    const now = performance.now()
    // A mount that is silent is asked once: each question keeps a thread until it answers.
    if (this.#answer === undefined || (!this.#isAsking && now - this.#asked > askedEvery)) {
      this.#asked = now
      this.#isAsking = true
      this.#answer = diskBelow(this.#directory).finally(() => (this.#isAsking = false))
    }
    return this.#answer
  }
}

/** Which kind `directory` is on; by threads if it is not there yet, or not to be entered: whoever looks hears of that. */
export async function diskBelow(directory: string): Promise<Disk> {
  if (process.platform !== 'linux') return byThreads
  try {
    return ofThisMachine.has((await statfs(directory)).type) ? atOnce : byThreads
  } catch {
    return byThreads
  }
}
