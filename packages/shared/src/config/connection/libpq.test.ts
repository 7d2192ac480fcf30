import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { findPostgresClient } from '../../../../../scripts/set-up/servers.mjs'
import {
  type TemporaryDirectory,
  temporaryDirectory,
} from '../../../../../test/helpers/temporary-directory.ts'
import { testWhere } from '../../../../../test/helpers/test-where.ts'
import { hasIPv6, type Recorder, startRecorder } from './libpq-recorder.ts'
import { parseConnection } from './parse.ts'

let directory: TemporaryDirectory
let recorder: Recorder
const psql = join(findPostgresClient(process.env) ?? '', 'psql')

beforeAll(async () => {
  directory = await temporaryDirectory()
  recorder = await startRecorder(directory.path)
  mkdirSync(directory.join('home'))
  writeFileSync(directory.join('home', '.pgpass'), fill(passwordFile), { mode: 0o600 })
  writeFileSync(directory.join('open.pgpass'), '*:*:*:*:open\n', { mode: 0o644 })
  writeFileSync(directory.join('home', '.pg_service.conf'), fill(serviceFile))
  writeFileSync(
    directory.join('other_service.conf'),
    fill('[shop]\nhost=127.0.0.1\nport=PORT\ndbname=other\n'),
  )
})
afterAll(async () => {
  await recorder[Symbol.asyncDispose]()
  await directory.remove()
})

const passwordFile = `# a comment: with: four: colons: in
127.0.0.1:PORT:shop:ann:first
127.0.0.1:PORT:shop:ann:second
127.0.0.1:*:with\\:colon:back\\\\slash:pass\\:word\\\\
*:PORT:any:\\*:never
*:PORT:any:*:star:rest
::1:PORT:shop:ann:short
\\:\\:1:PORT:shop:ann:six
SOCKETS:PORT:shop:ann:socket
127.0.0.1:PORT:windows:ann:returns\r
127.0.0.1:PORT:empty:ann:
too:few:fields
`

const serviceFile = `# services
[other]
host=example.invalid

[shop]
host=127.0.0.1
  port=PORT
dbname=from service
user=ann
user=late
password=it's a secret
application_name=a=b

[after]
dbname=x
`

function fill(text: string): string {
  return text
    .replaceAll('PORT', String(recorder.port))
    .replaceAll('ENCODED', encodeURIComponent(recorder.sockets))
    .replaceAll('SOCKETS', recorder.sockets)
    .replaceAll('FILES', directory.path)
}

/** What libpq tells a server, and what our parser would have told it. */
async function both(text: string, variables: Record<string, string> = {}) {
  const filled = Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, fill(value)]))
  const env = { HOME: directory.join('home'), ...filled }
  const heard = await recorder.hear(psql, fill(text), env)
  const { connection } = parseConnection(fill(text), env)
  return { heard, connection }
}

const accepted: [string, Record<string, string>?][] = [
  ['postgresql://ann@127.0.0.1:PORT/shop'],
  ['postgres://ann:secret@127.0.0.1:PORT/shop'],
  ['postgresql://127.0.0.1:PORT'],
  ['postgresql://127.0.0.1:PORT/'],
  ['postgresql://ann:@127.0.0.1:PORT/shop'],
  ['postgresql://:secret@127.0.0.1:PORT/shop'],
  ['postgresql://ann:p%40s%2Fs%23%25%20%C3%BC@127.0.0.1:PORT/shop'],
  ['postgresql://an%40n:p:a:s@127.0.0.1:PORT/my%20shop'],
  ['postgresql://ann:has#hash@127.0.0.1:PORT/shop'],
  ['postgresql://ann:has?mark@127.0.0.1:PORT/shop'],
  ['postgresql://ann:has+plus@127.0.0.1:PORT/shop?application_name=a+b'],
  ['postgresql://ann@127.0.0.1:PORT/shop#part'],
  ['postgresql://ann@127.0.0.1:PORT/shop/more'],
  ['postgresql://ann@[::1]:PORT/shop'],
  ['postgresql://ann@localhost:PORT/shop'],
  ['postgresql://ann@127.0.0.1:PORT/shop?application_name=x%26y&options=-c%20work_mem%3D1MB'],
  ['postgresql://ann@127.0.0.1/shop?port=PORT'],
  ['postgresql://ann@nowhere.invalid:1/shop?host=127.0.0.1&port=PORT&dbname=query&user=bob'],
  ['postgresql://127.0.0.1:PORT?user=bob&password=pw'],
  ['postgresql:///shop?host=SOCKETS&port=PORT&user=ann'],
  ['postgresql://ann@ENCODED:PORT/shop'],
  ['postgresql://zoe@127.0.0.1:1,127.0.0.1:PORT/shop'],
  ['postgresql://zoe@127.0.0.1,[::1]:PORT/shop'],
  ['postgresql://zoe@[::1]:1,127.0.0.1:PORT/shop?application_name=two'],
  ['host=127.0.0.1 port=PORT dbname=shop user=ann'],
  ["  host = 127.0.0.1  port= PORT dbname ='my shop' user=ann password='it\\'s \\\\ here' "],
  ["host=127.0.0.1 port=PORT user=ann dbname='' password=''"],
  ['host=127.0.0.1 port=PORT user=a user=b dbname=x\\ y'],
  ["host=127.0.0.1 port=PORT user=ann dbname='a'password=b"],
  ['host=127.0.0.1 port=PORT user=ann dbname=a application_name=b=c'],
  ["host=127.0.0.1 port=PORT user=o'neill dbname=a'b'c"],
  ['host=SOCKETS port=PORT user=ann dbname=shop'],
  ['host=127.0.0.1,::1 port=PORT user=zoe dbname=shop'],
  ['hostaddr=127.0.0.1 port=PORT user=ann dbname=shop'],
  ['host=127.0.0.1 port=PORT user=ann dbname=with:colon'],
  ['host=127.0.0.1 port=PORT user=back\\\\slash dbname=with:colon'],
  ['host=127.0.0.1 port=PORT user=* dbname=any'],
  ['host=127.0.0.1 port=PORT user=ann dbname=windows'],
  ['host=127.0.0.1 port=PORT user=ann dbname=empty'],
  ['host=127.0.0.1 port=PORT user=zoe dbname=shop'],
  ['host=127.0.0.1 port=PORT user=ann dbname=shop', { PGPASSFILE: 'FILES/open.pgpass' }],
  ['host=127.0.0.1 port=PORT user=ann dbname=shop passfile=FILES/none', { PGPASSFILE: 'FILES/home/.pgpass' }],
  ['host=127.0.0.1 port=PORT user=ann dbname=shop', { PGPASSWORD: 'from environment' }],
  ['postgresql://ann:own@127.0.0.1:PORT/shop', { PGPASSWORD: 'from environment', PGUSER: 'bob' }],
  ['postgresql://', { PGHOST: '127.0.0.1', PGPORT: 'PORT', PGUSER: 'bob', PGDATABASE: 'env' }],
  [
    'postgresql:///',
    { PGHOST: 'SOCKETS', PGPORT: 'PORT', PGUSER: 'bob', PGAPPNAME: 'app', PGOPTIONS: '-c a=b' },
  ],
  ['postgresql://', { PGHOSTADDR: '127.0.0.1', PGPORT: 'PORT', PGUSER: 'bob' }],
  ['service=shop'],
  ['service=shop dbname=string', { PGUSER: 'bob', PGPASSWORD: 'bob' }],
  ['postgresql:///?service=shop&user=ben'],
  ['user=ann dbname=shop', { PGSERVICE: 'shop' }],
  ['service=shop user=ann', { PGSERVICEFILE: 'FILES/other_service.conf' }],
]

describe('a connection string means the same to us and to libpq', () => {
  for (const [text, variables = {}] of accepted) {
    const possible = hasIPv6 || !text.includes('::1')
    testWhere(possible, 'no IPv6 here')(`${text} ${JSON.stringify(variables)}`, () =>
      compare(text, variables),
    )
  }
})

async function compare(text: string, variables: Record<string, string>): Promise<void> {
  const { heard, connection } = await both(text, variables)
  const options = {
    options: connection.parameters['options'],
    name: connection.parameters['application_name'],
  }
  expect(connection.parameters).not.toHaveProperty('password')
  expect(heard).toBeDefined()
  expect({
    user: connection.user,
    database: connection.database,
    password: connection.password?.reveal(),
    options: options.options,
    name: options.name ?? 'psql',
  }).toEqual({
    user: heard?.user,
    database: heard?.database,
    password: heard?.password,
    options: heard?.parameters['options'],
    name: heard?.parameters['application_name'],
  })
  // A name may lead to any of its addresses.
  if (connection.hosts.some(({ host }) => host === 'localhost')) return
  const places = connection.hosts.map(({ host, port }) => `${host} ${String(port)}`)
  expect(places).toContain(`${String(heard?.place)} ${String(recorder.port)}`)
}

const refused: [string, string][] = [
  ['postgresql://ann@127.0.0.1:PORT/shop?nosuch=1', ''],
  ['postgresql://ann@127.0.0.1:PORT/shop?application_name', ''],
  ['postgresql://ann@127.0.0.1:PORT/shop?application_name=a=b', ''],
  ['postgresql://ann:100%@127.0.0.1:PORT/shop', ''],
  ['postgresql://ann:%00@127.0.0.1:PORT/shop', ''],
  ['postgresql://ann@[::1:PORT/shop', ''],
  ['postgresql://ann@[]:PORT/shop', ''],
  ['postgresql://ann@[::1]x:PORT/shop', ''],
  ['postgresql://ann@127.0.0.1:99999/shop', ''],
  ['postgresql://ann:pa/ss@127.0.0.1:PORT/shop', ''],
  ['postgresql://ann@127.0.0.1,127.0.0.1,127.0.0.1:PORT/shop?port=1,2', ''],
  ['host=127.0.0.1 port=PORT user', ''],
  ["host=127.0.0.1 port=PORT user='ann", ''],
  ['host=127.0.0.1 port=PORT password=two words', ''],
  ['host=127.0.0.1 port=PORT sslmode=no-verify', ''],
  ['host=127.0.0.1 port=PORT sslmode=verify-full', ''],
  ['service=nosuch', ''],
  ['service=shop', 'FILES/nosuch'],
]

it.each(refused)('is refused by us and by libpq: %s', async (text, PGSERVICEFILE) => {
  const env = {
    HOME: directory.join('home'),
    ...(PGSERVICEFILE ? { PGSERVICEFILE: fill(PGSERVICEFILE) } : {}),
  }
  expect(() => parseConnection(fill(text), env)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  expect(await recorder.hear(psql, fill(text), env)).toBeUndefined()
})
