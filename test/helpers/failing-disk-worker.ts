import { readlinkSync, writeSync, writev } from 'node:fs'
import { promisify } from 'node:util'
import { loadConfig } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'

/**
 * A worker whose disk fails once, in the middle of a batch of the spool: it takes half of a record, and then says EIO. No
 * disk can be had here that does so by itself.
 */
let isSound = false
const take = promisify(writev)
const failOnce = (file: number, buffers: readonly Buffer[]) => {
  if (isSound || !readlinkSync(`/proc/self/fd/${String(file)}`).includes('/batches/'))
    return take(file, buffers)
  isSound = true
  const [first] = buffers
  if (first !== undefined) writeSync(file, first.subarray(0, first.length >> 1))
  throw Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO', errno: -5, syscall: 'write' })
}
Object.defineProperty(writev, promisify.custom, { value: failOnce })
// Loaded after that, it writes long records like this.
const { startWorker } = await import('@securyflex/worker')

const config = loadConfig({ needs: ['redis'] })
const logger = createLogger({ name: 'worker', directory: config.logs.directory, level: config.logs.level })
const worker = await startWorker(config, logger)
process.send?.({ at: 'ready' })
process.once('SIGTERM', () => {
  void worker
    .close()
    .then(() => logger.close())
    .then(() => {
      process.disconnect?.()
    })
})
