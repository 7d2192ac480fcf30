import fs, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { loadConfig } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import { startWorker } from '@securyflex/worker'

/**
 * A worker whose disk fails once, in the middle of a batch of the spool: it takes half of a record, and then says EIO. No
 * disk can be had here that does so by itself.
 */
let isSound = false
const open = fs.open
;(fs as { open: typeof fs.open }).open = async (path, ...rest) => {
  const file = await open(path, ...rest)
  if (!isSound && String(path).includes('/batches/') && rest[0] === 'wx') failOnce(file)
  return file
}
syncBuiltinESMExports()

function failOnce(file: FileHandle): void {
  const take = file.writev.bind(file)
  file.writev = async (buffers, position) => {
    if (isSound) return take(buffers, position)
    isSound = true
    const [first] = buffers as unknown as readonly Buffer[]
    if (first !== undefined) await file.write(first.subarray(0, first.length >> 1))
    throw Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO', errno: -5, syscall: 'write' })
  }
}

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
