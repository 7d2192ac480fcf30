import type { Connection } from '@securyflex/shared/config'
import { createDatabase, dumpArchive, openConnection, type Tools } from '@securyflex/shared/postgres'

type Client = Awaited<ReturnType<typeof openConnection>>

/** Bytes that a row of each table adds to an uncompressed dump, about; each table gets a quarter of it. */
const rowBytes = { articles: 475, readings: 88, events: 290, files: 16_440 }
type Table = keyof typeof rowBytes
const tables = Object.keys(rowBytes) as Table[]

/** Creates the database `bench` whose dump has about `size` bytes. The same size gives the same rows. */
export async function createBench(server: Connection, size: number): Promise<Connection> {
  await createDatabase(server, 'bench')
  const connection = { ...server, database: 'bench' }
  await withClient(connection, async (client) => {
    await client.query(schema)
    await client.query(sentences)
    for (const table of tables) await fill(client, table, 0, rowsFor(table, size))
    await client.query(indexes)
  })
  await settle(connection)
  return connection
}

/** Adds rows until the dump has about `factor` times the `size` that it was made with. */
export async function growBench(connection: Connection, size: number, factor: number): Promise<void> {
  await withClient(connection, async (client) => {
    for (const table of tables) {
      await fill(client, table, 10 * rowsFor(table, size), (factor - 1) * rowsFor(table, size))
    }
  })
  await settle(connection)
}

/** A day's work: 1% more rows in each table, and 1,000 articles edited that lie scattered over their table. */
export async function changeBench(connection: Connection, size: number): Promise<void> {
  await withClient(connection, async (client) => {
    for (const table of tables) {
      const rows = rowsFor(table, size)
      await fill(client, table, 5 * rows, Math.ceil(rows / 100))
    }
    const every = Math.floor(rowsFor('articles', size) / 1000)
    await client.query(
      `UPDATE articles SET title = title || ' (edited)' WHERE id % ${String(every)} = 1 AND id <= ${String(every * 1000)}`,
    )
  })
}

/** Bytes of an uncompressed archive of the database. */
export async function dumpSize(tools: Tools, connection: Connection): Promise<number> {
  return withClient(connection, async (client) => {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const { rows } = await client.query<{ id: string }>('SELECT pg_export_snapshot() AS id')
    const tool = dumpArchive(tools, connection, rows[0]?.id ?? '')
    let bytes = 0
    for await (const chunk of tool.stdout) bytes += (chunk as Buffer).length
    await tool.done
    return bytes
  })
}

/** Works with a connection that is closed afterwards. */
export async function withClient<T>(
  connection: Connection,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await openConnection(connection, { applicationName: 'securyflex-backup bench' })
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Both sides shall find the same quiet server: hint bits set, statistics made, dirty pages written. */
async function settle(connection: Connection): Promise<void> {
  await withClient(connection, async (client) => {
    await client.query('VACUUM ANALYZE')
    await client.query('CHECKPOINT')
  })
}

function rowsFor(table: Table, size: number): number {
  return Math.ceil(size / tables.length / rowBytes[table])
}

async function fill(client: Client, table: Table, after: number, rows: number): Promise<void> {
  await client.query(
    `INSERT INTO ${table} ${select[table](`generate_series(${after + 1}, ${after + rows}) n`)}`,
  )
}

const schema = `
  CREATE TABLE sentences (id int PRIMARY KEY, words text NOT NULL);
  CREATE TABLE articles (id int NOT NULL, title text NOT NULL, summary text NOT NULL, body text NOT NULL, author text NOT NULL);
  CREATE TABLE readings (id bigint NOT NULL, sensor int NOT NULL, taken timestamptz NOT NULL, value float8 NOT NULL,
    amount numeric(14, 4) NOT NULL, valid boolean NOT NULL);
  CREATE TABLE events (id uuid NOT NULL, at timestamptz NOT NULL, session uuid NOT NULL, detail jsonb NOT NULL);
  CREATE TABLE files (id int NOT NULL, name text NOT NULL, content bytea NOT NULL);
  ALTER TABLE files ALTER COLUMN content SET STORAGE EXTERNAL;
`

const indexes = `
  ALTER TABLE articles ADD PRIMARY KEY (id);
  ALTER TABLE readings ADD PRIMARY KEY (id);
  ALTER TABLE events ADD PRIMARY KEY (id);
  ALTER TABLE files ADD PRIMARY KEY (id);
  CREATE INDEX ON events (at);
  CREATE INDEX ON readings (sensor, taken);
`

/** A number below 2^31 that looks random and is the same each time. */
const random = (of: string) => `(hashint4((${of})::int) & 2147483647)`

/** 100,000 sentences of 6 to 13 of 2,000 words: more than a compressor's window holds, as in real text. */
const sentences = `
  INSERT INTO sentences SELECT s, (SELECT string_agg(substr('aeioubcdf', 1 + w % 9, 1) || substr(md5('word' || w), 1, 2 + w % 8), ' ')
    FROM (SELECT ${random('s * 16 + p')} % (1 + ${random('s * 16 + p + 7')} % 2000) AS w FROM generate_series(1, 6 + s % 8) p) picked)
  FROM generate_series(0, 99999) s;
  ANALYZE sentences;
`

const select: Record<Table, (numbers: string) => string> = {
  articles: (numbers) => `
    SELECT n, initcap(left(a.words, 30)) || ' ' || n, b.words, c.words || '. ' || d.words || '. ' || e.words || '. ' || f.words || '.',
      'author-' || ${random('n')} % 5000 || '@example.org'
    FROM ${numbers}
    JOIN sentences a ON a.id = ${random('n * 8')} % 100000 JOIN sentences b ON b.id = ${random('n * 8 + 1')} % 100000
    JOIN sentences c ON c.id = ${random('n * 8 + 2')} % 100000 JOIN sentences d ON d.id = ${random('n * 8 + 3')} % 100000
    JOIN sentences e ON e.id = ${random('n * 8 + 4')} % 100000 JOIN sentences f ON f.id = ${random('n * 8 + 5')} % 100000`,
  readings: (numbers) => `
    SELECT n, ${random('n')} % 500, timestamptz '2024-01-01Z' + n * interval '1.7 seconds', sin(n / 1000.0) * 100 + ${random('n + 1')} % 1000 / 1e4,
      ${random('n + 2')} % 100000000 / 1e4, n % 50 <> 0 FROM ${numbers}`,
  events: (numbers) => `
    SELECT md5('event' || n)::uuid, timestamptz '2024-01-01Z' + n * interval '13.1 seconds', md5('session' || n / 20)::uuid,
      jsonb_build_object('kind', (ARRAY['view', 'click', 'order', 'search', 'login'])[1 + ${random('n')} % 5], 'path', '/shop/' || ${random('n + 1')} % 3000,
        'ms', ${random('n + 2')} % 4000, 'agent', (ARRAY['Firefox/140', 'Chrome/139', 'Safari/19', 'bot'])[1 + ${random('n + 3')} % 4],
        'ip', '10.' || ${random('n + 4')} % 256 || '.' || ${random('n + 5')} % 256 || '.' || n % 256, 'tags', jsonb_build_array(n % 7, n % 11, 'a' || n % 13))
    FROM ${numbers}`,
  // 8 KB of digests: no compressor finds anything in them, though in a dump each byte is two hex digits.
  files: (numbers) => `
    SELECT n, 'file-' || n || '.bin', (SELECT string_agg(sha256((n || ' ' || p)::bytea), '') FROM generate_series(1, 256) p) FROM ${numbers}`,
}
