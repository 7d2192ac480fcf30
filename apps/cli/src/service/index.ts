export { runBackup } from './backup.ts'
export { runDemo } from './demo.ts'
export { startService } from './start.ts'
export { findService, resolveRedis } from './word.ts'
