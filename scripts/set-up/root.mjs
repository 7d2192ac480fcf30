import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout's own directory, absolute. */
export const root = resolve(fileURLToPath(new URL('../..', import.meta.url)))
