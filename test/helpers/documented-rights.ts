import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

/** A statement of a policy, as Amazon writes them. */
interface Statement {
  readonly Effect: string
  readonly Action: string | readonly string[]
  readonly Resource: string
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** What docs/destinations.md tells people to allow at S3. */
export interface DocumentedPolicies {
  /** Add, and never remove. */
  readonly add: readonly Statement[]
  /** Besides, to prune. */
  readonly prune: Statement
  /** Besides, with object lock. */
  readonly lock: Statement
}

/** The part of docs/destinations.md below a heading, up to the next one. */
async function section(heading: string): Promise<string> {
  const path = join(resolve(import.meta.dirname, '../..'), 'docs/destinations.md')
  const [, after] = (await readFile(path, 'utf8')).split(`\n### ${heading}\n`)
  if (after === undefined) throw new Error(`docs/destinations.md has no part “${heading}”.`)
  return after.split(/\n##/)[0] ?? ''
}

/** The policies of the document, for this bucket and this prefix (with its slash). */
export async function policiesAtS3(bucket: string, prefix: string): Promise<DocumentedPolicies> {
  const text = await section('The least rights at S3')
  const blocks = [...text.matchAll(/```json\n(.*?)```/gs)].map(([, json = '']) =>
    json.replaceAll('company-backups', bucket).replaceAll('production/', prefix),
  )
  const [policy, prune, lock] = blocks.map(
    (json) => JSON.parse(json) as Statement & { Statement: Statement[] },
  )
  if (policy === undefined || prune === undefined || lock === undefined)
    throw new Error('docs/destinations.md lacks a policy.')
  return { add: policy.Statement, prune, lock }
}

/** What docs/destinations.md writes for stores that answer 403 where nothing is. */
export function forOtherMakers(statements: readonly Statement[]): Statement[] {
  return statements.map(
    (statement) =>
      JSON.parse(JSON.stringify(statement).replace('"StringLike"', '"StringLikeIfExists"')) as Statement,
  )
}

/** A policy of the bucket that allows `user` what the statements say. */
export function bucketPolicy(user: string, statements: readonly Statement[]): string {
  const Principal = { AWS: [`arn:aws:iam:::user/${user}`] }
  const Statement = statements.map((statement) => ({ ...statement, Principal }))
  return JSON.stringify({ Version: '2012-10-17', Statement })
}

/** The letters of the signature, from the row of the document's table that begins so. */
export async function lettersAtAzure(row: 'add, and never remove' | 'add and prune'): Promise<string> {
  const text = await section('The least rights at Azure')
  const letters = new RegExp(`^\\| ${row} +\\| \`([a-z]+)\``, 'm').exec(text)?.[1]
  if (letters === undefined) throw new Error(`docs/destinations.md has no row “${row}”.`)
  return letters
}
