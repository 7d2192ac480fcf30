import { randomUUID } from 'node:crypto'
import { statSync, utimesSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BackupError } from '@securyflex/shared/errors'
import { createFileDurably, ensureDirectory, removeTemporaries } from '@securyflex/shared/files'
import { Attempt, type AttemptFacts } from './attempt.ts'
import { ifThere, namesIn, readNote, removeDirectory, writeNote } from './notes.ts'
import { damaged } from './records.ts'
import { inSpool } from './trouble.ts'

const idName = 'spool.json'
const runsName = 'runs'
const currentName = 'current'

/** The directory, shared by the workers of an installation, where batches wait between steps. */
export class Spool {
  /** Tells whether two workers look at the same directory. */
  readonly id: string
  /** Bytes that batches may book together. */
  readonly limit: number
  readonly #directory: string

  private constructor(id: string, directory: string, limit: number) {
    this.id = id
    this.#directory = directory
    this.limit = limit
  }

  /**
   * Opens the spool, creating it if it is not there.
   * @throws SPOOL_UNUSABLE if it cannot be written
   */
  static async open({ directory, limit }: { directory: string; limit: number }): Promise<Spool> {
    try {
      await ensureDirectory(join(directory, runsName))
      await createFileDurably(join(directory, idName), JSON.stringify({ id: randomUUID() }))
      const { id } = JSON.parse(await readFile(join(directory, idName), 'utf8')) as { id: string }
      return new Spool(id, directory, limit)
    } catch (cause) {
      throw new BackupError(
        'SPOOL_UNUSABLE',
        `The spool ${directory} cannot be used: ${(cause as Error).message}.`,
        {
          hint: 'Set BACKUP_SPOOL_DIR to a directory that this user may write.',
          cause,
        },
      )
    }
  }

  run(id: string): RunSpool {
    // Ids arrive in jobs and become paths, also of what is removed.
    if (!/^\w[\w.-]*$/.test(id)) throw new TypeError(`not the id of a run: ${id}`)
    return new RunSpool(join(this.#directory, runsName, id))
  }

  /** Removes what killed workers left unfinished beside the runs. */
  async removeUnfinished(now: Date): Promise<void> {
    await removeTemporaries(this.#directory, now)
  }

  /** Ids of the runs that have something here. */
  runs(): string[] {
    return namesIn(join(this.#directory, runsName))
  }
}

/** What one run has in the spool. */
export class RunSpool {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Makes `facts.attempt` the one that counts and removes what earlier attempts left. */
  async beginAttempt(facts: AttemptFacts): Promise<Attempt> {
    const attempt = this.attempt(facts.attempt)
    // Only what was there before: another attempt may begin at the same moment, and is not this one's to remove.
    const earlier = await ifThere(() => namesIn(this.#directory))
    await attempt.begin(facts)
    await inSpool(() => {
      writeNote(join(this.#directory, currentName), facts.attempt)
    })
    for (const name of earlier ?? []) {
      if (name === currentName || name === facts.attempt) continue
      await rm(join(this.#directory, name), { recursive: true, force: true })
    }
    return attempt
  }

  attempt(token: string): Attempt {
    return new Attempt(join(this.#directory, token))
  }

  async attempts(): Promise<Attempt[]> {
    const names = (await ifThere(() => namesIn(this.#directory))) ?? []
    return names.filter((name) => !name.startsWith(currentName)).map((name) => this.attempt(name))
  }

  /** The token of the attempt that counts; undefined once the run is over here. @throws SPOOL_DAMAGED */
  async current(): Promise<string | undefined> {
    const path = join(this.#directory, currentName)
    const token = (await ifThere(() => readNote(path)))?.toString()
    if (token !== undefined && !/^\w+$/.test(token)) throw damaged(path)
    return token
  }

  /** Shows the janitor that somebody is working on this run. */
  async touch(now: Date): Promise<void> {
    await ifThere(() => {
      utimesSync(this.#directory, now, now)
    })
  }

  async lastTouched(): Promise<Date | undefined> {
    return (await ifThere(() => statSync(this.#directory)))?.mtime
  }

  /** Removes everything of the run. A step that is still writing may put a file back: it is removed, too. */
  async remove(): Promise<void> {
    for (const attempt of await this.attempts()) {
      for await (const batch of attempt.batches()) {
        await batch.empty()
        batch.remove()
      }
    }
    removeDirectory(this.#directory)
  }
}
