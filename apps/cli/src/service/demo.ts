import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { loadConfig } from '@securyflex/shared/config'
import { asBackupError, BackupError, Secret } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import { print } from '../output/print.ts'
import { count, duration, size } from '../output/written.ts'
import { Claims } from './demo/claims.ts'
import { type DemoDatabase, ownDatabase, sampleDatabase } from './demo/database.ts'
import {
  differencesFromSource,
  dropScratch,
  openBackup,
  restoreToScratch,
  leftByRestores,
  tamperWithCopy,
} from './demo/restoring.ts'
import { ask, jobsOf, killDuring, sayRun, storedBytes, watch } from './demo/runs.ts'
import { lockDuration, setStage, type Stage } from './demo/stage.ts'
import type { RunEnd } from './follow.ts'
import { whenAskedToStop } from './stop-request.ts'

export interface DemoOptions {
  /** Leaves everything running until Ctrl-C, and prints where. */
  readonly keep?: boolean | undefined
}

/**
 * Shows the product at work, from an empty directory to a backup that was restored and compared, and checks each
 * of its claims. It uses a throwaway server, or `DATABASE_URL` without changing anything there; `BACKUP_DIR`
 * and the other settings of this checkout are left alone.
 * @returns the exit status: 0 if all of it held, 1 if not, 130 when interrupted
 */
export async function runDemo({ keep = false }: DemoOptions = {}): Promise<number> {
  await using stopping = whenAskedToStop()
  await using props = new AsyncDisposableStack()
  const interruption = new AbortController()
  void stopping.asked.then(() => {
    interruption.abort(
      new BackupError('CANCELLED', 'The demo was interrupted; all it had started was stopped.'),
    )
  })
  const { claims, stage } = await play(props, keep, interruption.signal)
  if (keep) {
    await sayKept(stage)
    await stopping.asked
  } else {
    await props.disposeAsync()
    sayNext()
  }
  return claims.failed === 0 ? 0 : 1
}

/** The whole story. What it starts goes to `props`, which end it. */
async function play(
  props: AsyncDisposableStack,
  keep: boolean,
  signal: AbortSignal,
): Promise<{ claims: Claims; stage: Stage }> {
  const began = performance.now()
  const claims = new Claims()
  const database = props.use(await chooseDatabase())
  signal.throwIfAborted()
  const stage = await setStage(props, database, { keep, signal })
  const { producer, worker, dashboard } = stage.pids
  print(
    `Redis, producer (process ${producer}), worker (${worker}) and dashboard (${dashboard}) run; board: ${stage.board}board`,
  )

  const first = await backUp(stage, claims)
  const second = await backUpAgain(stage, database, first, claims)
  const third = await survive(stage, second, claims)
  await restoreAndCompare(stage, database, third, claims)
  await refuseTampered(stage, database, third, claims)

  const failed = claims.failed === 0 ? 'All of it held' : `${count(claims.failed, 'claim')} did not hold`
  print(`\n${failed}, in ${duration((performance.now() - began) / 1000)}.`)
  return { claims, stage }
}

async function chooseDatabase(): Promise<DemoDatabase> {
  const config = loadConfig({ needs: [] })
  const [source] = config.sources
  return source === undefined ? sampleDatabase() : ownDatabase(source, config)
}

async function backUp(stage: Stage, claims: Claims): Promise<RunEnd> {
  print('\n1. A backup, compressed and encrypted, through the queues')
  const run = await ask(stage)
  const end = await watch(stage, run)
  sayRun(end, await jobsOf(stage, run))
  claims.check(end.outcome === 'success', `${run} is stored and read back${because(end)}`)
  const { opened } = await openBackup(stage.config, repositoryOf(stage), run)
  const { compression, cipher } = opened.manifest.options
  claims.check(
    compression.algorithm === 'zstd' && cipher === 'aes-256-gcm' && (await refusesOtherKey(stage, run)),
    `${compression.algorithm} and ${cipher}, says the manifest; another key is refused`,
  )
  return end
}

async function refusesOtherKey(stage: Stage, run: string): Promise<boolean> {
  const keys = new KeyRing({ current: new Secret(randomBytes(32).toString('hex')), previous: [] })
  return (await errorOf(openBackup(stage.config, repositoryOf(stage), run, keys)))?.code === 'KEY_WRONG'
}

async function backUpAgain(
  stage: Stage,
  database: DemoDatabase,
  first: RunEnd,
  claims: Claims,
): Promise<RunEnd> {
  print(
    `\n2. ${database.sample ? 'Orders come in, some customers move' : 'Nothing is changed by the demo'}, and another backup`,
  )
  await database.change()
  const run = await ask(stage)
  const end = await watch(stage, run, first.bytes)
  sayRun(end, await jobsOf(stage, run))
  sayHowLittle(first, end, database, claims)
  return end
}

/** Below this size (bytes) a database is a segment or two, and one of them holds the time of the dump. */
const tooSmallToShare = 16 * 2 ** 20

function sayHowLittle(first: RunEnd, second: RunEnd, { sample }: DemoDatabase, claims: Claims): void {
  const share = storedBytes(second) / storedBytes(first)
  const words = `it stored ${size(storedBytes(second))}, the first one ${size(storedBytes(first))}`
  if (!sample && first.bytes < tooSmallToShare) {
    print(`  ${words}: too small a database to find much of it again`)
    return
  }
  claims.check(share < (sample ? 0.5 : 1), `${words}: only what changed (${(share * 100).toFixed(1)}%)`)
}

/** How often a run may be faster than the kill. */
const mostTries = 3

async function survive(stage: Stage, second: RunEnd, claims: Claims): Promise<RunEnd> {
  print('\n3. A third backup, and the worker is killed in the middle of it')
  print(
    `   (job locks last ${lockDuration / 1000} s here, by default 60 s: so long a dead worker’s job waits for another one)`,
  )
  for (let tries = 1; tries <= mostTries; tries += 1) {
    const run = await ask(stage)
    const { worker } = stage.pids
    const step = await killDuring(stage, run, tries > 1)
    if (step === undefined) {
      // Finished before the kill, or the worker is gone without an active job: serve again, try again.
      if (stage.pids.worker === worker && !(await isServed(stage))) await stage.startWorker()
      await watch(stage, run)
      continue
    }
    claims.check(true, `SIGKILL to worker ${worker} while its ${step} of ${run} was active`)
    await stage.startWorker()
    print(`   another worker (${stage.pids.worker}) is there, and nobody asks again`)
    const end = await watch(stage, run, second.bytes)
    sayRun(end, await jobsOf(stage, run))
    claims.check(
      end.outcome === 'success' && end.run === run,
      `the same run finished by itself${because(end)}`,
    )
    return end
  }
  claims.check(false, `the worker was killed in the middle: ${mostTries} runs were faster`)
  return second
}

async function isServed({ queues }: Stage): Promise<boolean> {
  return (await queues.get('dump').getWorkersCount()) > 0
}

async function restoreAndCompare(
  stage: Stage,
  database: DemoDatabase,
  { run }: RunEnd,
  claims: Claims,
): Promise<void> {
  print(`\n4. That backup, restored into a new database (${database.scratch})`)
  const began = performance.now()
  const backup = await openBackup(stage.config, repositoryOf(stage), run)
  const { comparison, bytes } = await restoreToScratch(stage, backup, database)
  print(`  ${size(bytes)} restored and compared in ${duration((performance.now() - began) / 1000)}`)
  const { tables = 0, rows = 0, checksums = 0, sequences = 0, largeObjects = 0 } = comparison?.compared ?? {}
  const what = `${count(tables, 'table')}, ${count(rows, 'row')}, ${count(checksums, 'checksum')}, ${count(sequences, 'sequence')}, ${count(largeObjects, 'large object')}`
  claims.check(
    comparison?.differences.length === 0 && checksums === tables && (rows > 0 || !database.sample),
    `the same as what was backed up: ${what}${comparison?.differences.slice(0, 3).join(' ') ?? ''}`,
  )
  if (database.sample) {
    const differences = await differencesFromSource(database)
    claims.check(
      differences.length === 0,
      `and the same as the shop is now ${differences.slice(0, 3).join(' ')}`.trim(),
    )
  }
  await dropScratch(database)
}

async function refuseTampered(
  stage: Stage,
  database: DemoDatabase,
  { run }: RunEnd,
  claims: Claims,
): Promise<void> {
  print('\n5. One byte is changed in a copy of the repository')
  const copy = join(stage.directory, 'copy')
  const segment = await tamperWithCopy(
    await openBackup(stage.config, repositoryOf(stage), run),
    repositoryOf(stage),
    copy,
  )
  const before = await leftByRestores(database)
  const error = await errorOf(restoreToScratch(stage, await openBackup(stage.config, copy, run), database))
  claims.check(
    error?.code === 'SEGMENT_TAMPERED' && error.message.includes(segment),
    `refused and named: ${error?.message ?? 'nothing was noticed'}`,
  )
  const left = (await leftByRestores(database)).filter((name) => !before.includes(name))
  claims.check(left.length === 0, 'and no half-restored database is left')
}

async function errorOf(work: Promise<unknown>): Promise<BackupError | undefined> {
  return work.then(
    () => undefined,
    (error: unknown) => asBackupError(error),
  )
}

function because({ reason }: RunEnd): string {
  return reason === undefined ? '' : `: ${reason}`
}

function repositoryOf({ config }: Stage): string {
  const [destination] = config.destinations
  return destination?.kind === 'local' ? destination.directory : ''
}

async function sayKept(stage: Stage): Promise<void> {
  const settings = await stage.writeSettings()
  print(`\nEverything keeps running. Dashboard: ${stage.board}`)
  print(`In another terminal: . ${settings}; npx --no securyflex-backup list`)
  print('Ctrl-C here stops it all and removes its files.')
}

function sayNext(): void {
  print('Everything was stopped and removed. With your own database, type next:')
  print('  export DATABASE_URL=postgresql://user@localhost:5432/shop')
  print('  npm run backup')
  print('  npm run backup:restore -- latest --to shop_restored')
}
