import type { Command } from 'commander'
import { addBackup } from './commands/backup.ts'
import { addStart } from './commands/start.ts'
import { addDemo } from './commands/demo.ts'
import { addHealth } from './commands/health.ts'
import { addCancel } from './commands/cancel.ts'
import { addDashboard } from './commands/dashboard.ts'
import { addEnqueueJob } from './commands/enqueue-job.ts'
import { addKey } from './commands/key.ts'
import { addList } from './commands/list.ts'
import { addProducer } from './commands/producer.ts'
import { addPrune } from './commands/prune.ts'
import { addRestore } from './commands/restore.ts'
import { addSchedule } from './commands/schedule.ts'
import { addStatus } from './commands/status.ts'
import { addVerify } from './commands/verify.ts'
import { addWorker } from './commands/worker.ts'

/** Every command, in the order of the help: what people do each day first, the single processes last. */
export const commandTable: readonly ((program: Command) => void)[] = [
  addBackup,
  addStart,
  addStatus,
  addHealth,
  addList,
  addRestore,
  addVerify,
  addPrune,
  addEnqueueJob,
  addCancel,
  addSchedule,
  addKey,
  addProducer,
  addWorker,
  addDashboard,
  addDemo,
]
