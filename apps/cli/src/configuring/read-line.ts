import { text } from 'node:stream/consumers'
import { BackupError } from '@securyflex/shared/errors'

/** The one line of standard input. @throws USAGE if there is none */
export async function readLine(): Promise<string> {
  const line = (await text(process.stdin)).trim()
  if (line !== '') return line
  throw new BackupError('USAGE', 'Standard input is empty.', {
    hint: 'Write the connection string into a file, and type: npx --no securyflex-backup source add - < <file>',
  })
}
