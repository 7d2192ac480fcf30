import { setTimeout as wait } from 'node:timers/promises'
import { loadConfig } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import type { Storage, StoredObject } from '@securyflex/shared/storage'
import { startWorker } from '../apps/worker/src/worker.ts'

/** The worker as it is, with destinations that let every request wait for as many ms as the argument says. */
const latency = Number(process.argv[2])
/** Objects that a store gives in one answer to a listing, as S3 does. */
const page = 1000

async function* paged(entries: AsyncIterable<StoredObject>): AsyncGenerator<StoredObject> {
  let given = 0
  await wait(latency)
  for await (const entry of entries) {
    if (given > 0 && given % page === 0) await wait(latency)
    given += 1
    yield entry
  }
}

function distant(storage: Storage): Storage {
  const far = async <T>(call: () => Promise<T>) => {
    await wait(latency)
    return call()
  }
  return {
    name: storage.name,
    shown: storage.shown,
    put: (key, body) => far(() => storage.put(key, body)),
    putIfAbsent: (key, body) => far(() => storage.putIfAbsent(key, body)),
    get: (key) => far(() => storage.get(key)),
    stat: (key) => far(() => storage.stat(key)),
    list: (prefix) => paged(storage.list(prefix)),
    delete: (key) => far(() => storage.delete(key)),
    removeUnfinished: (prefix) => far(() => storage.removeUnfinished(prefix)),
    now: () => far(() => storage.now()),
    until: (signal) => distant(storage.until(signal)),
  }
}

const config = loadConfig({ needs: ['redis'] })
const logger = createLogger({ name: 'worker', directory: config.logs.directory, level: config.logs.level })
const worker = await startWorker(config, logger, { reach: distant })
process.once('SIGTERM', () => {
  void worker.close().then(() => logger.close())
})
