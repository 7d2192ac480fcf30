import { takeFingerprint } from '@securyflex/shared/postgres'
import { statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { withClient } from './data.ts'
import { inMegabytes, inSeconds, median, type Peaks, timed, timedPrograms } from './measure.ts'
import { gzipPipeline, pipelinesOf, type Shell, zstdPipeline } from './pipelines.ts'
import { type Backup, install } from './product.ts'
import type { Stage } from './stage.ts'
import { atMost, note, type Row } from './table.ts'

/** A backup into an empty repository. */
export interface FirstBackup extends Backup {
  readonly stored: number
  readonly peaks: Peaks
}

/** First backups beside the pipelines, in turn. */
export async function compareFirstBackups(stage: Stage): Promise<Row[]> {
  const shell = pipelinesOf(stage)
  const [zstd, product, gzip]: [Piped[], FirstBackup[], Piped[]] = [[], [], []]
  for (let round = 1; round <= stage.options.rounds; round++) {
    zstd.push(await pipe(stage, shell, zstdPipeline, 'zstd.enc'))
    product.push(await firstBackup(stage))
    gzip.push(await pipe(stage, shell, gzipPipeline, 'gzip.enc'))
    const [first, second, third] = [zstd, product, gzip].map((side) => inSeconds(side.at(-1)?.seconds ?? 0))
    stage.say(`${String(round)}: zstd ${String(first)}, product ${String(second)}, gzip ${String(third)}`)
  }
  const compressed = Number(await shell('pg_dump -Fc -Z0 | zstd -q -3 | wc -c', stage.directory))
  const middle = <T>(side: readonly T[], of: (one: T) => number) => median(side.map(of))
  const seconds = middle(product, (backup) => backup.seconds)
  const stored = middle(product, (backup) => backup.stored)
  const beside = (what: string, target: number, pipeline: readonly Piped[]) => {
    const theirs = middle(pipeline, (piped) => piped.seconds)
    return atMost(what, target, seconds / theirs, `${inSeconds(seconds)} ÷ ${inSeconds(theirs)}`)
  }
  return [
    beside('First backup ÷ `pg_dump -Fc -Z0 | zstd -T2 -3 | openssl`', 1.3, zstd),
    beside('First backup ÷ `pg_dump | gzip -6 | openssl`', 0.4, gzip),
    atMost(
      'Stored by it ÷ `zstd -3` of the whole archive',
      1.1,
      stored / compressed,
      `${inMegabytes(stored)} ÷ ${inMegabytes(compressed)}`,
    ),
    note(
      'Verify after it: reads back and opens everything',
      inSeconds(middle(product, (backup) => backup.verifySeconds)),
    ),
    note(
      'CPU time of worker and client tools, start, prune and verify included',
      inSeconds(middle(product, ({ peaks }) => peaks.cpu)),
    ),
    note('CPU time of the zstd pipeline', inSeconds(middle(zstd, ({ cpu }) => cpu))),
    note('CPU time of the gzip pipeline', inSeconds(middle(gzip, ({ cpu }) => cpu))),
    ...(await fingerprints(stage)),
  ]
}

/** Backs up into an empty repository, with a worker and a Redis that are new too. */
export async function firstBackup(stage: Stage): Promise<FirstBackup> {
  await using installation = await install(stage)
  const backup = await installation.backup()
  return { ...backup, stored: installation.stored(), peaks: installation.peaks() }
}

/** A pipeline, run once. Times in seconds. */
interface Piped {
  readonly seconds: number
  readonly cpu: number
  readonly bytes: number
}

async function pipe(stage: Stage, shell: Shell, script: string, file: string): Promise<Piped> {
  const room = await stage.room('pipeline')
  const { seconds, cpu } = await timedPrograms(() => shell(script, room))
  const bytes = statSync(join(room, file)).size
  await rm(room, { recursive: true })
  return { seconds, cpu, bytes }
}

async function fingerprints({ connection, options }: Stage): Promise<Row[]> {
  const rows: Row[] = []
  for (const level of ['counts', 'checksums'] as const) {
    const times: number[] = []
    for (let round = 1; round <= options.rounds; round++) {
      times.push(
        (await timed(() => withClient(connection, (client) => takeFingerprint(client, level)))).seconds,
      )
    }
    rows.push(note(`Fingerprint of the source, \`${level}\``, inSeconds(median(times))))
  }
  return rows
}
