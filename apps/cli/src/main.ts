import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'
import { countSegmentsWithHeap } from '@securyflex/shared/segments'

// Compiled code is kept beside the modules that it was made from: a command then starts in half the time. Where
// that directory cannot be written, Node does without.
enableCompileCache(fileURLToPath(new URL('../../../node_modules/.cache/securyflex-backup', import.meta.url)))
countSegmentsWithHeap()
const { runProgram } = await import('./program.ts')
process.exitCode = await runProgram(process.argv.slice(2))
