import type { Client } from './client.ts'

/** Creates and fills the sample shop; takes some three seconds, changes nothing that exists. */
export async function fillShop(client: Client): Promise<void> {
  await client.query(schema)
  for (const statement of rows) await client.query(statement)
}

/** A day in the shop: new orders, some customers move. */
export async function changeShop(client: Client): Promise<void> {
  for (const statement of changes) await client.query(statement)
}

/** All rows of the shop, for people. */
export async function countShop(client: Client): Promise<number> {
  const tables = ['customers', 'products', 'orders', 'items', 'reviews', 'pages']
  const sum = tables.map((table) => `(SELECT count(*) FROM ${table})`).join(' + ')
  const { rows } = await client.query<{ rows: string }>(`SELECT ${sum} AS rows`)
  return Number(rows[0]?.rows)
}

const schema = `
  CREATE SEQUENCE invoice_number START 100000 INCREMENT 7;
  CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text UNIQUE, address jsonb NOT NULL, since date NOT NULL);
  CREATE TABLE products (id int PRIMARY KEY, title text NOT NULL, price numeric(10, 2) NOT NULL, picture bytea NOT NULL,
    gross numeric(10, 2) GENERATED ALWAYS AS (price * 1.21) STORED);
  CREATE TABLE orders (id bigint NOT NULL, placed timestamptz NOT NULL, customer int NOT NULL REFERENCES customers,
    invoice bigint NOT NULL DEFAULT nextval('invoice_number'), PRIMARY KEY (id, placed)) PARTITION BY RANGE (placed);
  CREATE TABLE orders_2025 PARTITION OF orders FOR VALUES FROM ('2025-01-01Z') TO ('2026-01-01Z');
  CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM ('2026-01-01Z') TO ('2027-01-01Z');
  CREATE TABLE items (order_id bigint NOT NULL, line int NOT NULL, product int NOT NULL REFERENCES products,
    quantity int NOT NULL CHECK (quantity > 0), PRIMARY KEY (order_id, line));
  CREATE TABLE reviews (product int NOT NULL REFERENCES products, stars int NOT NULL, said jsonb NOT NULL);
  CREATE TABLE pages (path text PRIMARY KEY, body text NOT NULL);
  CREATE INDEX ON reviews USING gin (said);
  CREATE VIEW turnover AS SELECT product, sum(quantity) AS sold FROM items GROUP BY product;
`

const rows = [
  `INSERT INTO customers SELECT n, 'Customer ' || n, 'customer' || n || '@example.org',
     jsonb_build_object('street', md5('street' || n), 'city', (ARRAY['Amsterdam', 'Gent', 'København', '東京'])[1 + n % 4], 'number', n % 250),
     date '2019-01-01' + n % 2000 FROM generate_series(1, 30000) n`,
  `INSERT INTO products SELECT n, 'Product ' || md5('title' || n), (n % 9000) / 100.0 + 1,
     (SELECT string_agg(sha256((n || ' ' || part)::bytea), NULL) FROM generate_series(1, 192) part) FROM generate_series(1, 3000) n`,
  `INSERT INTO orders SELECT n, timestamptz '2025-01-01Z' + n * interval '9 minutes', 1 + (n * 7919) % 30000 FROM generate_series(1, 80000) n`,
  `INSERT INTO items SELECT 1 + n / 3, 1 + n % 3, 1 + (n::bigint * 104729) % 3000, 1 + n % 5 FROM generate_series(0, 239999) n`,
  `INSERT INTO reviews SELECT 1 + n % 3000, 1 + n % 5, jsonb_build_object('title', md5('review' || n), 'tags', jsonb_build_array(n % 7, n % 11))
     FROM generate_series(1, 20000) n`,
  `INSERT INTO pages SELECT '/page/' || n, repeat('Lines of text on page ' || n || E', äöü and 🚲.\\n', 3000) FROM generate_series(1, 40) n`,
  `SELECT lo_from_bytea(0, sha256('a large object'))`,
]

const changes = [
  `INSERT INTO orders SELECT 80000 + n, timestamptz '2026-11-22Z' + n * interval '1 minute', 1 + n FROM generate_series(1, 400) n`,
  `INSERT INTO items SELECT 80000 + n, 1, 1 + n, 2 FROM generate_series(1, 400) n`,
  `UPDATE customers SET address = address || '{"city": "Utrecht"}' WHERE id BETWEEN 29900 AND 30000`,
]
