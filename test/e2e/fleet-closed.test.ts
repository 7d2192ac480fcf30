import { writeFile } from 'node:fs/promises'
import { expect, it } from '@jest/globals'
import { readReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import { startThrowawayServer } from '@securyflex/shared/postgres'
import { jobIds, requestRun } from '@securyflex/shared/queue'
import { newRunId, parseRunId } from '@securyflex/shared/repository'
import pg from 'pg'
import { startInstallation } from '../helpers/installation.ts'
import { command } from '../helpers/round-trip.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const guestPassword = 'let-me-in-1'
const warning =
  'The database “crm” is not backed up: the role "guest" may not connect to it (GRANT CONNECT, or exclude.databases).'

it('a database to which the role may not connect makes the run of its group degraded, and is announced', async () => {
  await using server = await startThrowawayServer()
  const { hosts, user, password } = server.connection
  const client = new pg.Client({ ...hosts[0], user, password: password?.reveal(), database: 'postgres' })
  await client.connect()
  for (const sql of [
    'CREATE DATABASE wiki',
    'CREATE DATABASE crm',
    'REVOKE CONNECT ON DATABASE crm FROM PUBLIC',
    `CREATE ROLE guest LOGIN PASSWORD '${guestPassword}'`,
    'GRANT pg_read_all_data TO guest',
  ]) {
    await client.query(sql)
  }
  await client.end()

  await using directory = await temporaryDirectory()
  const file = directory.join('fleet.yaml')
  const url = server.connectionString.replace(/\/\/[^@]*@/, `//guest:${guestPassword}@`)
  const fleet = { url, database: '*', schedule: false, exclude: { databases: ['postgres'] } }
  // JSON is YAML.
  await writeFile(file, JSON.stringify({ sources: { fleet } }))
  await using installation = await startInstallation({ BACKUP_CONFIG: file })
  await using worker = await installation.startWorker()

  const now = new Date()
  const { run } = await requestRun(installation.queues, newRunId('fleet', now), {
    v: 1,
    source: 'fleet',
    requestedBy: 'test',
    requestedAt: now.toISOString(),
    options: {},
  })
  const job = await installation.ended(run)
  expect(await job.getState()).toBe('completed')
  const { outcome, runs } = job.returnvalue as { outcome: string; runs: string[] }
  expect(outcome).toBe('degraded')
  expect(runs.map((id) => parseRunId(id)?.source)).toEqual(['fleet-wiki'])
  for (const id of runs) {
    expect((await installation.ended(id)).returnvalue).toMatchObject({ outcome: 'success' })
  }

  const keys = new KeyRing(installation.config.keys)
  expect(await readReport(installation.storage, 'fleet', run, keys)).toMatchObject({
    outcome: 'degraded',
    warnings: [warning],
    runs,
  })
  const told = await installation.queues.get('notify').getJob(jobIds.notify(run, 0, 'log'))
  expect(told?.data).toMatchObject({
    message: {
      outcome: 'degraded',
      source: 'fleet',
      text: expect.stringMatching(/^Backup of fleet succeeded only in part \(.*“crm” is not backed up/),
      warnings: [warning],
    },
  })
  const { stdout } = await command(installation, 'status')
  expect(stdout).toMatch(/ {2}fleet: degraded at /)
  await worker.kill('SIGTERM')
})
