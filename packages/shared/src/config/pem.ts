import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Secret, systemCode } from '@securyflex/shared/errors'
import { path } from './parsers.ts'
import { Wrong } from './wrong.ts'

/** The certificates in a file, as they stand there; the first one at least is one. */
export function certificateFile(text: string, directory: string): string {
  const { pem, file } = read(text, directory)
  try {
    new X509Certificate(pem)
    return pem
  } catch (error) {
    throw new Wrong(`${file} is no certificate in PEM form (${reasonOf(error)})`)
  }
}

/** The private key in a file. */
export function privateKeyFile(text: string, directory: string): Secret {
  const { pem, file } = read(text, directory)
  try {
    createPrivateKey(pem)
    return new Secret(pem)
  } catch (error) {
    if (systemCode(error) === 'ERR_MISSING_PASSPHRASE') {
      throw new Wrong(
        `the key in ${file} has a passphrase`,
        `Take it off: openssl pkey -in ${file} -out ${file}.plain`,
      )
    }
    throw new Wrong(`${file} is no private key in PEM form (${reasonOf(error)})`)
  }
}

function read(text: string, directory: string): { pem: string; file: string } {
  const file = path(text, directory)
  try {
    return { pem: readFileSync(file, 'utf8'), file }
  } catch (error) {
    throw new Wrong(
      `${file} cannot be read (${systemCode(error) ?? String(error)})`,
      'Correct the path, or the permissions of the file.',
    )
  }
}

function reasonOf(error: unknown): string {
  return systemCode(error) ?? (error instanceof Error ? error.message : String(error))
}
