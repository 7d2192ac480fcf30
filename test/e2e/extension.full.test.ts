import { existsSync } from 'node:fs'
import { describe, expect } from '@jest/globals'
import pg from 'pg'
import { serverWithExtension } from '../helpers/extension-server.ts'
import { startInstallation } from '../helpers/installation.ts'
import { roundTrip } from '../helpers/round-trip.ts'
import { testWhere } from '../helpers/test-where.ts'
import { witnessOf } from '../helpers/witness.ts'

/** An extension as PostGIS is one: it brings tables, and marks which rows of them are the user's. */
const files = {
  'gadget.control': `default_version = '1.0'\nrelocatable = false\nschema = gadget\ncomment = 'for tests'\n`,
  'gadget--1.0.sql': `
    CREATE TABLE setting (name text PRIMARY KEY, value text, own boolean DEFAULT true);
    INSERT INTO setting VALUES ('shipped', 'with the extension', false);
    CREATE TABLE everything (id serial PRIMARY KEY, note text);
    CREATE TABLE internal (id int); INSERT INTO internal VALUES (1);
    SELECT pg_extension_config_dump('setting', 'WHERE own');
    SELECT pg_extension_config_dump('everything', '');
    SELECT pg_extension_config_dump('everything_id_seq', '');`,
}

describe('an extension with configuration tables', () => {
  testWhere(existsSync('/usr/share/postgresql/15/extension'), 'it needs the layout of Debian’s packages')(
    'comes back with the rows that are the user’s, and none twice',
    async () => {
      await using server = await serverWithExtension(files)
      const client = new pg.Client(server.connectionString)
      await client.connect()
      await client.query('CREATE DATABASE source')
      await client.end()
      const url = server.connectionString.replace(/postgres$/, 'source')
      const filling = new pg.Client(url)
      await filling.connect()
      await filling.query(`CREATE SCHEMA gadget; CREATE EXTENSION gadget;
        INSERT INTO gadget.setting VALUES ('mine', 'kept'); INSERT INTO gadget.everything (note) VALUES ('a'), ('b');
        CREATE TABLE uses (n int DEFAULT nextval('gadget.everything_id_seq')); INSERT INTO uses DEFAULT VALUES`)
      await filling.end()
      await using installation = await startInstallation({
        DATABASE_URL: url,
        BACKUP_FINGERPRINT: 'checksums',
      })
      const { comparison } = await roundTrip(installation, 'restored')
      expect(comparison).toMatchObject({ differences: [], notes: [] })

      const [host = { host: '', port: 0 }] = server.connection.hosts
      const access = { ...host, user: 'postgres', password: server.connection.password?.reveal() ?? '' }
      const [source, copy] = [await witnessOf(access, 'source'), await witnessOf(access, 'restored')]
      for (const query of [
        `SELECT * FROM gadget.setting ORDER BY name`,
        `SELECT * FROM gadget.everything ORDER BY id`,
        `SELECT last_value, is_called FROM gadget.everything_id_seq`,
        `SELECT * FROM gadget.internal`,
        `SELECT * FROM uses`,
      ]) {
        expect({ query, ...(await copy.rows(query)) }).toEqual({ query, ...(await source.rows(query)) })
      }
      expect(await copy.definitions()).toBe(await source.definitions())
    },
  )
})
