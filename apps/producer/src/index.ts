export { type RunningProducer, startProducer } from './producer.ts'
