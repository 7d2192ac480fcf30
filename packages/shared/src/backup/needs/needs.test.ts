import { describe, expect, it } from '@jest/globals'
import { needsOf } from './needs.ts'

describe('what a script needs', () => {
  it.each([
    ['ALTER TABLE public.orders OWNER TO shop;', ['shop']],
    ['ALTER FUNCTION public.f(a integer) OWNER TO "Shop Owner";', ['Shop Owner']],
    ['GRANT SELECT(id),UPDATE(id) ON TABLE public."to" TO reader WITH GRANT OPTION;', ['reader']],
    ['GRANT ALL ON SCHEMA public TO PUBLIC;', []],
    ['REVOKE ALL ON FUNCTION f() FROM PUBLIC; REVOKE ALL ON TABLE t FROM "a""b";', ['a"b']],
    [
      'ALTER DEFAULT PRIVILEGES FOR ROLE boss IN SCHEMA s GRANT SELECT ON TABLES TO reader;',
      ['boss', 'reader'],
    ],
    ['CREATE POLICY p ON t FOR SELECT TO one, two USING (true);', ['one', 'two']],
    ['CREATE POLICY p ON t USING ((role = 1));', []],
    ['CREATE USER MAPPING FOR shop SERVER far OPTIONS (password $$x$$);', ['shop']],
    [
      `SET SESSION AUTHORIZATION 'grantor'; GRANT SELECT ON t TO x; RESET SESSION AUTHORIZATION;`,
      ['grantor', 'x'],
    ],
    ['ALTER TABLE t ADD COLUMN owner text;', []],
  ])('%s', (sql, roles) => {
    expect(needsOf(sql).roles).toEqual(roles)
  })

  it('finds nothing in function bodies, texts and comments', () => {
    const sql = `
      -- Name: t; Owner: ghost; GRANT x TO ghost;
      /* ALTER TABLE t OWNER TO ghost; */
      CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $_$ BEGIN GRANT a TO ghost; END $_$;
      COMMENT ON TABLE t IS 'it''s; GRANT a TO ghost;';
      SELECT E'a\\'; GRANT a TO ghost;';`
    expect(needsOf(sql)).toEqual({ roles: [], tablespaces: [] })
  })

  it('names tablespaces, but not the empty one that stands for the default', () => {
    const sql = `SET default_tablespace = ''; SET default_tablespace = fast; SET default_tablespace = "Big Disk";`
    expect(needsOf(sql).tablespaces).toEqual(['Big Disk', 'fast'])
  })
})
