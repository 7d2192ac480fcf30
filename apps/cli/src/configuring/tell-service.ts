import { readFile } from 'node:fs/promises'
import type { Config } from '@securyflex/shared/config'
import { systemCode } from '@securyflex/shared/errors'
import { findService } from '../service/index.ts'

/**
 * Has the service of this BACKUP_DIR read its configuration again, if one runs here.
 * @returns whether it was told, and what to say of it
 */
export async function tellService(config: Config): Promise<{ told: boolean; text: string }> {
  const word = await findService(config)
  const byHand = 'What runs reads it at SIGHUP: kill -HUP <process>, or docker compose kill -s HUP'
  if (config.redis !== undefined) return { told: false, text: byHand }
  if (word?.kind !== 'service')
    return { told: false, text: 'It counts from the next npm start or npm run backup on.' }
  if (!(await isService(word.pid))) return { told: false, text: byHand }
  process.kill(word.pid, 'SIGHUP')
  return { told: true, text: `The running service (process ${String(word.pid)}) reads it now.` }
}

/** Whether that process is the one that left word: in another container the number means another, or none. */
async function isService(pid: number): Promise<boolean> {
  try {
    const words = (await readFile(`/proc/${String(pid)}/cmdline`, 'utf8')).split('\0')
    return words.includes('start') && words.some((one) => one.endsWith('apps/cli/src/main.ts'))
  } catch (error) {
    // Without Linux's /proc nothing is known of it.
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}
