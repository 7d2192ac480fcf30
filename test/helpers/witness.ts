import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { findTools } from '@securyflex/shared/postgres'
import type { Access } from './postgres.ts'

/** What PostgreSQL's own tools say of a database: they share no line with this product. */
export interface Witness {
  /**
   * Size, SHA-256 and the first lines of what `COPY (query) TO STDOUT` of psql prints, in UTF-8, or as the bytes
   * are in a database of SQL_ASCII.
   */
  rows(query: string): Promise<{ readonly bytes: number; readonly hash: string; readonly begins: string }>
  /** `pg_dump --schema-only`; with `create` also what concerns the database itself, whose name is left out. */
  definitions(options?: { create?: boolean }): Promise<string>
}

/** Characters of an answer that a failed test shows. */
const shown = 2000

/** A limit that a test gave the database (since 17) is not meant for who only watches; nothing is printed. */
const withoutTimeout = [
  '\\o /dev/null',
  `SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'`,
  '\\o',
]

/** @param programs directory of the tools to ask; two that are compared need the same. Default: this machine's own. */
export async function witnessOf(
  access: Access,
  database: string,
  encoding: 'UTF8' | 'SQL_ASCII' = 'UTF8',
  programs?: string,
): Promise<Witness> {
  const tools = await findTools(15, programs)
  const env = {
    PGHOST: access.host,
    PGPORT: String(access.port),
    PGUSER: access.user,
    PGPASSWORD: access.password,
    PGDATABASE: database,
    PGCLIENTENCODING: encoding,
  }
  const start = (program: string, args: readonly string[]) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const said = text(child.stderr)
    const ended = once(child, 'close').then(async ([status]) => {
      if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${await said}`)
    })
    return { output: child.stdout, ended }
  }
  return {
    async rows(query) {
      const statements = [...withoutTimeout, `COPY (${query}) TO STDOUT`].flatMap((one) => ['-c', one])
      const { output, ended } = start(tools.psql, ['-X', '-q', ...statements])
      const hash = createHash('sha256')
      let bytes = 0
      let begins = ''
      for await (const chunk of output as AsyncIterable<Buffer>) {
        hash.update(chunk)
        bytes += chunk.length
        if (begins.length < shown) begins = (begins + chunk.toString('latin1')).slice(0, shown)
      }
      await ended
      return { bytes, hash: hash.digest('hex'), begins }
    },
    async definitions({ create = false } = {}) {
      const { output, ended } = start(tools.pg_dump, ['--schema-only', ...(create ? ['--create'] : [])])
      const [script] = await Promise.all([text(output), ended])
      // Each dump draws the key of its \restrict line anew, and says from what server it is.
      return script
        .replace(/^(?:\\(?:un)?restrict .*|-- Dumped from database version .*)$/gm, '')
        .replaceAll(database, 'DATABASE')
    },
  }
}
