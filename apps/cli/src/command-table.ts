import type { Command } from 'commander'

type Add = (program: Command) => void

/**
 * Every command, in the order of the help: what people do each day first, the single processes last. A command
 * is loaded when it is needed: most need little of what is here, and loading all takes the longest of their time.
 */
export const commandTable: Readonly<Record<string, () => Promise<Add>>> = {
  init: async () => (await import('./commands/init.ts')).addInit,
  backup: async () => (await import('./commands/backup.ts')).addBackup,
  start: async () => (await import('./commands/start.ts')).addStart,
  status: async () => (await import('./commands/status.ts')).addStatus,
  health: async () => (await import('./commands/health.ts')).addHealth,
  list: async () => (await import('./commands/list.ts')).addList,
  restore: async () => (await import('./commands/restore.ts')).addRestore,
  export: async () => (await import('./commands/export.ts')).addExport,
  verify: async () => (await import('./commands/verify.ts')).addVerify,
  scrub: async () => (await import('./commands/scrub.ts')).addScrub,
  copy: async () => (await import('./commands/copy.ts')).addCopy,
  keep: async () => (await import('./commands/keep.ts')).addKeep,
  prune: async () => (await import('./commands/prune.ts')).addPrune,
  adopt: async () => (await import('./commands/adopt.ts')).addAdopt,
  'enqueue-job': async () => (await import('./commands/enqueue-job.ts')).addEnqueueJob,
  cancel: async () => (await import('./commands/cancel.ts')).addCancel,
  retry: async () => (await import('./commands/retry.ts')).addRetry,
  pause: async () => (await import('./commands/pause.ts')).addPause,
  resume: async () => (await import('./commands/pause.ts')).addResume,
  history: async () => (await import('./commands/history.ts')).addHistory,
  schedule: async () => (await import('./commands/schedule.ts')).addSchedule,
  source: async () => (await import('./commands/source.ts')).addSource,
  destination: async () => (await import('./commands/destination.ts')).addDestination,
  config: async () => (await import('./commands/config.ts')).addConfig,
  key: async () => (await import('./commands/key.ts')).addKey,
  producer: async () => (await import('./commands/producer.ts')).addProducer,
  worker: async () => (await import('./commands/worker.ts')).addWorker,
  dashboard: async () => (await import('./commands/dashboard.ts')).addDashboard,
  demo: async () => (await import('./commands/demo.ts')).addDemo,
}
