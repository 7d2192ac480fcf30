/** How much is written: a level includes those before it. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug'
