import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withClient } from './data.ts'
import type { Stage } from './stage.ts'

/** Databases of some hundred kilobytes, like those of many small customers. */
export async function createSmall(stage: Stage, names: readonly string[]): Promise<void> {
  const [first = '', ...others] = names
  await withClient(stage.connection, (client) => client.query(`CREATE DATABASE ${first}`))
  await withClient({ ...stage.connection, database: first }, (client) =>
    client.query(`
      CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, since date NOT NULL);
      CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers, placed timestamptz NOT NULL, detail jsonb NOT NULL);
      INSERT INTO customers SELECT n, 'Customer ' || md5(n::text), date '2020-01-01' + n FROM generate_series(1, 1000) n;
      INSERT INTO orders SELECT n, 1 + n % 1000, timestamptz '2025-01-01Z' + n * interval '1 hour', jsonb_build_object('total', n, 'note', md5(n::text))
        FROM generate_series(1, 3000) n;`),
  )
  await withClient(stage.connection, async (client) => {
    for (const name of others) await client.query(`CREATE DATABASE ${name} TEMPLATE ${first}`)
    await client.query('CHECKPOINT')
  })
}

export async function dropSmall({ connection }: Stage, names: readonly string[]): Promise<void> {
  await withClient(connection, async (client) => {
    for (const name of names) await client.query(`DROP DATABASE ${name}`)
  })
}

/**
 * Writes a configuration with a source for each of `databases`, by name.
 * @param settings of every source
 * @returns the file, for BACKUP_CONFIG
 */
export async function writeSources(
  stage: Stage,
  databases: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const sources = Object.fromEntries(
    Object.entries(databases).map(([name, database]) => [name, { ...settings, url: stage.url(database) }]),
  )
  const file = join(await stage.room('configuration'), 'backup.config.yaml')
  // JSON is YAML.
  await writeFile(file, JSON.stringify({ sources }))
  return file
}
