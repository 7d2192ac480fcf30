import { flushCompileCache } from 'node:module'
import { startProducer } from '@securyflex/producer'
import { loadConfig } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import { startWorker } from '@securyflex/worker'
import { tellEffects } from './effects.ts'

/** A moment of a process's work: right before or after the nth time that it has an effect. */
export interface Moment {
  readonly name: string
  readonly occurrence: number
  readonly when: 'before' | 'after'
}

/** What the process is told to do once it has loaded its program. */
export interface Order {
  readonly serve: 'worker' | 'producer'
  /** Where it ends; effects count from the start on, or from `arm` on if that is to be waited for. */
  readonly end?: Moment
  readonly waitForArm?: boolean
  /** A producer's clock stands at this time. */
  readonly now?: string
  /** Whether the test is told of every effect. */
  readonly tell?: boolean
}

/**
 * A worker or producer that has loaded its program and waits for an order. It kills itself with SIGKILL at the
 * moment that the order names, or tells of its effects; without either it is an ordinary one.
 */
// A killed process leaves no cache to the next one.
flushCompileCache()
const order = await new Promise<Order>((resolve) => {
  process.once('message', resolve as (order: Order) => void)
  process.send?.({ at: 'ready' })
})
const config = loadConfig({ needs: ['redis'] })
let armed = order.waitForArm !== true
let passed = 0

tellEffects(config.directory, (name, when) => {
  if (!armed) return
  if (order.tell === true) process.send?.({ effect: name, when })
  if (name !== order.end?.name || when !== order.end.when) return
  passed += 1
  if (passed === order.end.occurrence) process.kill(process.pid, 'SIGKILL')
})

const logger = createLogger({ name: order.serve, directory: config.logs.directory, level: config.logs.level })
const served =
  order.serve === 'worker'
    ? await startWorker(config, logger)
    : await startProducer(config, logger, { interval: 500, clock: () => new Date(order.now ?? Date.now()) })
process.on('message', (message: { arm?: boolean }) => {
  armed ||= message.arm === true
  process.send?.({ at: 'armed' })
})
process.send?.({ at: 'serves' })
process.once('SIGTERM', () => {
  void served
    .close()
    .then(() => logger.close())
    .then(() => {
      process.disconnect?.()
    })
})
