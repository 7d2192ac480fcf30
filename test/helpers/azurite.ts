import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { setTimeout as wait } from 'node:timers/promises'
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { tiedToUs } from '../run/tied-to-us.ts'
import { freePort } from './free-port.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** Azurite, Microsoft's own emulator of Azure's storage, with one account and one empty container. */
export interface Azurite extends AsyncDisposable {
  readonly port: number
  readonly account: string
  /** In base64. */
  readonly key: string
  readonly container: string
  /** Of the account. */
  readonly endpoint: string
  readonly credential: StorageSharedKeyCredential
}

export async function startAzurite(): Promise<Azurite> {
  const directory = await temporaryDirectory()
  const [account, key, container] = ['testaccount', randomBytes(32).toString('base64'), 'backups']
  const port = await freePort()
  const main = createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js')
  const places = ['--blobHost', '127.0.0.1', '--blobPort', String(port), '--location', directory.path]
  const quiet = ['--silent', '--disableTelemetry', '--skipApiVersionCheck']
  const [program, ...args] = tiedToUs([process.execPath, main, ...places, ...quiet])
  const server = spawn(program, args, {
    cwd: directory.path,
    stdio: 'ignore',
    env: { ...process.env, AZURITE_ACCOUNTS: `${account}:${key}` },
  })
  const endpoint = `http://127.0.0.1:${String(port)}/${account}`
  const credential = new StorageSharedKeyCredential(account, key)
  const client = new ContainerClient(`${endpoint}/${container}`, credential, {
    retryOptions: { maxTries: 1 },
  })
  const deadline = Date.now() + 30_000
  for (;;) {
    const made = await client.createIfNotExists().catch(() => undefined)
    if (made !== undefined) break
    if (server.exitCode !== null || Date.now() > deadline) throw new Error('azurite did not start.')
    await wait(100)
  }
  return {
    port,
    account,
    key,
    container,
    endpoint,
    credential,
    async [Symbol.asyncDispose]() {
      const exit = once(server, 'exit')
      server.kill('SIGTERM')
      await exit
      await directory.remove()
    },
  }
}
