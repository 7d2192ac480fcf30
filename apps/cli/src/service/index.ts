export { runBackup, type BackupOptions } from './backup.ts'
export { runDemo, type DemoOptions } from './demo.ts'
export { findService, resolveRedis, type ServiceWord } from './word.ts'
export { startService } from './start.ts'
