import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { constants } from 'node:os'
import { root } from './root.mjs'

/**
 * Runs Node with these arguments in the checkout, on this process's own streams, until it ends.
 * @param {string} node path of the binary
 * @param {string[]} args
 * @param {Record<string, string | undefined>} env
 * @returns {Promise<number>} its exit status, 128 + n when signal n ended it
 */
export function handOver(node, args, env) {
  const child = spawn(node, args, { cwd: root, stdio: 'inherit', env: { ...env, ...pathWith(node, env) } })
  const stopForwarding = forwardSignals(child)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      stopForwarding()
      resolve(signal ? 128 + constants.signals[signal] : (code ?? 1))
    })
  })
}

/**
 * Children find the checkout's own tools and the same Node first.
 * @param {string} node
 * @param {Record<string, string | undefined>} env
 */
function pathWith(node, env) {
  const bin = join(root, 'node_modules', '.bin')
  const first = node.startsWith(join(root, 'node_modules')) ? [bin] : [dirname(node), bin]
  const rest = (env['PATH'] ?? '').split(delimiter).filter((entry) => !first.includes(entry))
  return { PATH: [...first, ...rest].join(delimiter) }
}

/**
 * SIGTERM is passed on. A terminal delivers Ctrl-C and hang-up to the whole foreground group, the child included:
 * passing these on as well would make the child believe that it was asked twice.
 * @param {import('node:child_process').ChildProcess} child
 */
function forwardSignals(child) {
  /** @type {(signal: NodeJS.Signals) => void} */
  const forward = (signal) => {
    if (signal === 'SIGTERM' || !inForegroundOfTerminal()) child.kill(signal)
  }
  const signals = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])
  for (const signal of signals) process.on(signal, forward)
  return () => {
    for (const signal of signals) process.off(signal, forward)
  }
}

function inForegroundOfTerminal() {
  if (process.platform !== 'linux') return Boolean(process.stdin.isTTY || process.stderr.isTTY)
  // proc(5): after the command's name in brackets come state, ppid, pgrp, session, tty_nr, tpgid.
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return fields[2] === fields[5]
}
