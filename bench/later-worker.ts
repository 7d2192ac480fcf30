import { shiftClock } from '../test/helpers/shifted-clock.ts'

/** The worker as it comes, with clocks that are ahead by as many days as the argument says. */
shiftClock(Number(process.argv[2]) * 24 * 60 * 60 * 1000)
await import('../apps/worker/src/main.ts')
