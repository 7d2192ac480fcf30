import { describe, expect, it } from '@jest/globals'
import { decodeText } from './encodings.ts'
import { propertiesOf } from './properties.ts'

const header = '\\restrict abc\n\nSET statement_timeout = 0;\n'

describe('the properties of a database', () => {
  it.each([
    ['ALTER DATABASE shop CONNECTION LIMIT = 5;', ['ALTER DATABASE "new" CONNECTION LIMIT = 5']],
    [
      `ALTER DATABASE "Shop; x" SET "DateStyle" TO 'SQL, DMY';`,
      [`ALTER DATABASE "new" SET "DateStyle" TO 'SQL, DMY'`],
    ],
    [
      `COMMENT ON DATABASE shop IS 'it''s; ALTER DATABASE shop';`,
      [`COMMENT ON DATABASE "new" IS 'it''s; ALTER DATABASE shop'`],
    ],
    ['ALTER DATABASE owner IS_TEMPLATE = true;', ['ALTER DATABASE "new" IS_TEMPLATE = true']],
    ['ALTER DATABASE shop OWNER TO bob;', []],
    ['ALTER TABLE shop SET (fillfactor = 50); COMMENT ON TABLE database IS $$x$$;', []],
  ])('%s', (sql, settings) => {
    expect(propertiesOf(header + sql, 'new')).toEqual({ tablespace: undefined, settings, privileges: [] })
  })

  it.each([
    [
      'GRANT CONNECT,TEMPORARY ON DATABASE shop TO database WITH GRANT OPTION;',
      'GRANT CONNECT,TEMPORARY ON DATABASE "new" TO database WITH GRANT OPTION',
    ],
    ['REVOKE ALL ON DATABASE shop FROM PUBLIC;', 'REVOKE ALL ON DATABASE "new" FROM PUBLIC'],
    [
      `ALTER ROLE database IN DATABASE shop SET work_mem TO '5MB';`,
      `ALTER ROLE database IN DATABASE "new" SET work_mem TO '5MB'`,
    ],
    [`SECURITY LABEL FOR x ON DATABASE shop IS 'y';`, `SECURITY LABEL FOR x ON DATABASE "new" IS 'y'`],
    [
      `SET SESSION AUTHORIZATION "b;ob"; GRANT CREATE ON DATABASE shop TO y; RESET SESSION AUTHORIZATION;`,
      'SET SESSION AUTHORIZATION "b;ob"; GRANT CREATE ON DATABASE "new" TO y; RESET SESSION AUTHORIZATION',
    ],
  ])('%s', (sql, privilege) => {
    expect(propertiesOf(header + sql, 'new').privileges).toEqual([privilege])
  })

  it('name the tablespace', () => {
    const script = `CREATE DATABASE tablespace WITH TEMPLATE = template0 ENCODING = 'UTF8' TABLESPACE = "Big Disk" LOCALE = 'C';`
    expect(propertiesOf(header + script, 'new').tablespace).toBe('Big Disk')
  })
})

describe('text of a database', () => {
  it.each([
    ['LATIN1', 'é', [0xe9]],
    ['WIN1252', '€', [0x80]],
    ['KOI8R', 'Ж', [0xf6]],
    ['EUC_JP', '日', [0xc6, 0xfc]],
    ['UTF8', 'é', [0xc3, 0xa9]],
    ['SQL_ASCII', 'é', [0xc3, 0xa9]],
    ['SQL_ASCII', '\ufffd', [0xe9]],
  ])('in %s is %s', (encoding, text, bytes) => {
    expect(decodeText(Uint8Array.from(bytes), encoding)).toBe(text)
  })
})
