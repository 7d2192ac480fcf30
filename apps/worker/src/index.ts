export { type WorkerOptions } from './context.ts'
export { type RunningWorker, startWorker } from './worker.ts'
