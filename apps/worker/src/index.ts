export { type WorkerOptions } from './context.ts'
export { serveUntil } from './serve-until.ts'
export { type RunningWorker, startWorker } from './worker.ts'
