export type { LogLevel } from './level.ts'
export { createLogger, type Logger, type LoggerOptions, type LogFields } from './logger.ts'
