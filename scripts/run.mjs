// The one way into the checkout: `node scripts/run.mjs <target> [arguments]`, run by any Node >= 20.
// It sets up what is missing, then hands over to Node 26. What it has to say goes to stderr, so that stdout can be piped.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import util from 'node:util'
import { handOver } from './set-up/hand-over.mjs'
import { ensureModules } from './set-up/modules.mjs'
import { findNode, nodeNeedsLibatomic } from './set-up/node.mjs'
import { root } from './set-up/root.mjs'
import { SetUpError, say } from './set-up/say.mjs'
import { missingServers } from './set-up/servers.mjs'
import { installSystemPackages } from './set-up/system-packages.mjs'
import { UsageError, argumentsOfNpm, withoutOurFlags } from './npm-flags.mjs'
import { targets } from './targets.mjs'

/**
 * Sets up what the target needs and runs it.
 * @param {string} name a key of targets.mjs
 * @param {string[]} typed the arguments as they arrived
 * @returns {Promise<number>} the exit status: the target's own, 1 when the set-up failed, 2 for a wrong command line
 */
export async function run(name, typed) {
  try {
    const target = targets[name]
    if (!target)
      throw new UsageError(
        `There is no target "${name}".`,
        `Choose one of ${Object.keys(targets).join(', ')}.`,
      )
    const args = argumentsOfNpm(typed, process.env)
    const missing = missingServers(target.needs(args, environment()), environment())
    if (nodeNeedsLibatomic()) missing.push('libatomic')
    if (missing.length > 0) await installSystemPackages(missing, () => missingServers(missing, environment()))
    await ensureModules()
    const node = findNode()
    return await handOver(node, target.command(args), withoutOurFlags(process.env))
  } catch (error) {
    if (!(error instanceof SetUpError || error instanceof UsageError)) throw error
    say(error.message)
    if (error.hint) say(error.hint)
    return error instanceof UsageError ? 2 : 1
  }
}

/** The environment with `.env` beneath it, as the product reads it (Node before 20.12 cannot: then without). */
function environment() {
  if (typeof util.parseEnv !== 'function') return process.env
  try {
    return { ...util.parseEnv(readFileSync(resolve(root, '.env'), 'utf8')), ...process.env }
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return process.env
    throw error
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = await run(process.argv[2] ?? '', process.argv.slice(3))
}
