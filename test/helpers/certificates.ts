import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import type { TemporaryDirectory } from './temporary-directory.ts'

/** Paths of an authority of a test's own, and of what it signed. */
export interface Certificates {
  readonly ca: string
  /** For `localhost` and 127.0.0.1. */
  readonly server: { readonly certificate: string; readonly key: string }
  readonly client: { readonly certificate: string; readonly key: string }
  /** An authority that signed nothing. */
  readonly otherCa: string
}

/** Has openssl make them in `directory`, about 0.1 s. */
export function makeCertificates(directory: TemporaryDirectory): Certificates {
  const at = (name: string) => directory.join(name)
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const authority = (name: string) => {
    openssl(['req', '-x509', ...newKey, '-days', '2', '-subj', `/CN=${name}`], at(`${name}.key`), at(name))
    return at(name)
  }
  const ca = authority('ca.pem')
  const signed = (name: string, subject: string) => {
    const [certificate, key, request] = [at(`${name}.pem`), at(`${name}.key`), at(`${name}.csr`)]
    openssl(['req', ...newKey, '-subj', `/CN=${subject}`], key, request)
    const names = at(`${name}.names`)
    writeFileSync(names, 'subjectAltName=DNS:localhost,IP:127.0.0.1')
    const signing = ['-CA', ca, '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', '2', '-extfile', names]
    execFileSync('openssl', ['x509', '-req', '-in', request, ...signing, '-out', certificate], quiet)
    return { certificate, key }
  }
  return {
    ca,
    server: signed('server', 'localhost'),
    client: signed('client', 'securyflex'),
    otherCa: authority('other-ca.pem'),
  }
}

const quiet = { stdio: 'ignore' } as const

function openssl(args: readonly string[], key: string, out: string): void {
  execFileSync('openssl', [...args, '-keyout', key, '-out', out], quiet)
}
