// npm keeps options that stand before `--` for itself: `npm run backup:restore latest --yes` hands over `latest` alone and
// leaves npm_config_yes=true in the environment. This turns OUR flags back into arguments.
//
// Measured with npm 10.9, 11.19, 11.21 and 12.2:
//   --yes --force --json --dry-run   npm_config_yes=true … in all of them (they are options of npm's own, too)
//   --all                            the same in 11.19
//   --keep --full --follow           npm_config_keep=true … in 10 and 11; npm 12 refuses them itself
//   --to name                        10: npm_config_to=true and `name` as an argument; 11: npm_config_token_description=name,
//                                    because it completes abbreviations; 12: npm_config_to=name
//   --to=name                        npm_config_to=name; 11: npm_config_token_description=name
//   --help, --version, --verbose     npm's own; never reach us
// npm exports what stands in its configuration files in the same way, and does not tell the two apart (its process title
// names no options either). So a flag counts only when no configuration file sets it to the same value and npm had not
// inherited it: a `yes=true` in ~/.npmrc, or in the environment, must not answer our questions.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from './set-up/root.mjs'
import { say } from './set-up/say.mjs'

/** Flags without a value that may be typed after `npm run <script>` without `--`. */
export const flags = [
  'yes',
  'force',
  'json',
  'keep',
  'full',
  'dry-run',
  'follow',
  'globals',
  'without-owners',
  'allow-commands',
  'pbkdf2',
  'openssl',
  'all',
  'plain',
  'release',
]

/** Options with a value; these need `--`. */
export const valued = [
  'to',
  'source',
  'target-url',
  'database',
  'destination',
  'share',
  'directory',
  'key-file',
  'limit',
  'days',
  'cron',
  'time-zone',
  'steps',
  'lines',
  'timeout',
  'jobs',
  'iter',
  'md',
  'format',
  'output',
  'name',
  'schedule',
  'from',
  'reason',
  'kind',
  'set',
  'exclude',
  'url',
]

/** A command line that cannot be what was meant; the hint is the line to type. */
export class UsageError extends Error {
  /**
   * @param {string} message
   * @param {string} hint
   */
  constructor(message, hint) {
    super(message)
    this.hint = hint
  }
}

/**
 * The arguments as they were typed after `npm run <script>`.
 * @param {string[]} args what npm handed over
 * @param {NodeJS.ProcessEnv} env
 * @returns {string[]}
 * @throws {UsageError} for an option with a value that npm has taken apart
 */
export function argumentsOfNpm(args, env) {
  if (!['run-script', 'run', 'test', 'start'].includes(env['npm_command'] ?? '')) return args
  const known = npmKnowsBefore(env)
  refuseValues(args, env, known)
  const given = flags.filter((flag) => env[variable(flag)] === 'true' && !args.includes(`--${flag}`))
  const typed = given.filter((flag) => !known(flag, 'true'))
  for (const flag of given.filter((flag) => !typed.includes(flag)))
    say(
      `npm's configuration sets ${flag}=true; that is not taken as --${flag}. To give it, type: ${line(env, [...args, `--${flag}`])}`,
    )
  return [...args, ...typed.map((flag) => `--${flag}`)]
}

/**
 * The environment for the product and its children: a nested `npm run` must not read our flags a second time.
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
export function withoutOurFlags(env) {
  const ours = new Set([...flags, ...valued].map(variable))
  return Object.fromEntries(Object.entries(env).filter(([name]) => !ours.has(name)))
}

/**
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @param {(option: string, value: string) => boolean} known
 */
function refuseValues(args, env, known) {
  for (const option of valued) {
    const value = env[variable(option)] ?? (option === 'to' ? env['npm_config_token_description'] : undefined)
    if (value === undefined || value === '' || known(option, value)) continue
    const swallowed = value !== 'true'
    const rest = swallowed ? args : args.slice(0, -1)
    const meant = swallowed ? value : (args.at(-1) ?? `<${option}>`)
    const typed = flags
      .filter((flag) => env[variable(flag)] === 'true' && !known(flag, 'true'))
      .map((flag) => `--${flag}`)
    throw new UsageError(
      `npm keeps --${option} for itself when it stands before \`--\`.`,
      `Type: ${line(env, [...rest, `--${option}`, meant, ...typed])}`,
    )
  }
}

/**
 * The same command with `--`, quoted for a shell where needed.
 * @param {NodeJS.ProcessEnv} env
 * @param {string[]} args
 */
function line(env, args) {
  const quoted = args.map((arg) =>
    /^[\w@%+=:,./<>-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`,
  )
  return `npm run ${env['npm_lifecycle_event'] ?? ''} -- ${quoted.join(' ')}`
}

/** @param {string} option */
function variable(option) {
  return `npm_config_${option.replaceAll('-', '_')}`
}

/**
 * Tells whether npm had this value before it read its command line.
 * @param {NodeJS.ProcessEnv} env
 * @returns {(option: string, value: string) => boolean}
 */
function npmKnowsBefore(env) {
  const builtin = env['npm_execpath'] && join(dirname(env['npm_execpath']), '..', 'npmrc')
  const files = [join(root, '.npmrc'), env['npm_config_userconfig'], env['npm_config_globalconfig'], builtin]
  const text = files.map((file) => (file && existsSync(file) ? readFileSync(file, 'utf8') : '')).join('\n')
  const inherited = inheritedByNpm(env)
  return (option, value) => {
    const inFile = new RegExp(`^\\s*${option}\\s*(?:=\\s*["']?(.*?)["']?\\s*)?$`, 'gim')
    const inFiles = [...text.matchAll(inFile)].some((match) => (match[1] ?? 'true') === value)
    return inFiles || inherited(variable(option)) === value
  }
}

/**
 * The environment that npm itself was started with, which Linux shows; elsewhere nothing is known of it. It is that of the
 * nearest ancestor which does not run our script yet.
 * @param {NodeJS.ProcessEnv} env
 * @returns {(name: string) => string | undefined}
 */
function inheritedByNpm(env) {
  const own = `npm_lifecycle_script=${env['npm_lifecycle_script'] ?? ''}`
  let pid = process.ppid
  for (let depth = 0; depth < 4 && pid > 1 && existsSync(`/proc/${String(pid)}/environ`); depth += 1) {
    const entries = readFileSync(`/proc/${String(pid)}/environ`, 'utf8').split('\0')
    if (!entries.includes(own)) {
      return (name) => entries.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1)
    }
    pid = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1] ?? 0)
  }
  return () => undefined
}
