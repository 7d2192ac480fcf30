import type { Config, RedisAddress } from '@securyflex/shared/config'
import { inheritedEnvironment, reloadOnHangup } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { checkUsable } from '@securyflex/shared/queue'
import { note, print } from '../output/print.ts'
import { type AppName, type Ending, partOf, startApp } from './part.ts'
import { refuseBusyPort } from './port.ts'
import { startRedis } from './redis/redis.ts'
import { whenAskedToStop } from './stop-request.ts'
import { type Supervised, Supervisor } from './supervisor.ts'
import { type Claim, claimService, type ServiceWord } from './word.ts'

/** How long each may take to end, in ms; a worker gives its jobs ten seconds before it hands them back. */
const grace: Record<AppName | 'redis', number> = {
  producer: 5_000,
  worker: 20_000,
  dashboard: 8_000,
  redis: 10_000,
}

/**
 * Runs the whole service in this terminal until SIGINT or SIGTERM, or until the terminal is closed: Redis, unless
 * `REDIS_URL` names one, producer, worker and dashboard. What dies is started again. SIGHUP has all of them read their
 * configuration again.
 * @returns the exit status: 0 after an orderly stop
 * @throws PORT_IN_USE, REDIS_UNREACHABLE, SETUP_NEEDED before anything is left running; USAGE if it runs already
 */
export async function startService(config: Config): Promise<number> {
  await refuseBusyPort(config.dashboard)
  await using stopping = whenAskedToStop({ hangup: false })
  await using service = await openService(config)
  const fatal = Promise.withResolvers<number>()
  const supervisor = new Supervisor({
    say: note,
    giveUp: (name, ending) => fatal.resolve(explainEnd(name, ending)),
  })
  try {
    const redis = await service.redis(supervisor)
    for (const name of ['dashboard', 'worker', 'producer'] as const) await supervisor.add(app(name, redis))
    const stopReloading = passReloadsOn(config, service, supervisor)
    announce(config, service.claim?.word)
    const status = await Promise.race([fatal.promise, stopping.asked.then(() => 0)])
    stopReloading()
    note('Stopping; what is under way is handed back. Ctrl-C again ends it at once.')
    return status
  } finally {
    await supervisor.stop(stopping.hurry)
  }
}

/** A configuration that is whole goes on to every process; one that is not reaches none. */
function passReloadsOn(config: Config, { claim }: Service, supervisor: Supervisor): () => void {
  return reloadOnHangup(config, {
    apply: async (changed) => {
      await claim?.renew(changed)
      // The worker first: what the producer asks for, it must know.
      for (const name of ['worker', 'dashboard', 'producer'] as const) {
        const pid = supervisor.pidOf(name)
        if (pid !== undefined) process.kill(pid, 'SIGHUP')
      }
    },
    say: (_, text) => {
      note(text)
    },
  })
}

interface Service extends AsyncDisposable {
  /** Present where Redis is this service's own. */
  readonly claim: Claim | undefined
  redis(supervisor: Supervisor): Promise<RedisAddress>
}

/** Settles whose Redis it is. */
async function openService(config: Config): Promise<Service> {
  const { redis: address } = config
  if (address !== undefined) {
    const redis = async () => {
      await checkUsable(address)
      return address
    }
    return { claim: undefined, redis, [Symbol.asyncDispose]: () => Promise.resolve() }
  }
  const claim = await claimService(config, 'service', new Date())
  if ('holder' in claim) throw alreadyRuns(config, claim.holder)
  const redis = async (supervisor: Supervisor) => {
    await supervisor.add(embeddedRedis(config))
    return claim.word.redis
  }
  return { claim, redis, [Symbol.asyncDispose]: () => claim.release() }
}

function alreadyRuns({ directory }: Config, { kind, pid }: ServiceWord): BackupError {
  return kind === 'service'
    ? new BackupError('USAGE', `The service runs already on ${directory}: its process is ${pid}.`, {
        hint: `Stop it with Ctrl-C in its terminal, or with: kill ${pid}`,
      })
    : new BackupError('USAGE', `A single backup is under way on ${directory}: its process is ${pid}.`, {
        hint: 'Start the service when it is done.',
      })
}

/** Redis as a part that is kept running. */
function embeddedRedis(config: Config): Supervised {
  return {
    name: 'redis',
    grace: grace.redis,
    start: async () => {
      const redis = await startRedis(config)
      const { process, ended } = partOf(redis.process)
      return { process, ended: ended.then((ending) => redis.stop().then(() => ending)) }
    },
  }
}

/** An application as a part that is kept running; its lines are shown as they come. */
function app(name: AppName, redis: RedisAddress): Supervised {
  const env = inheritedEnvironment({ REDIS_URL: redis.url.reveal() })
  const say = (line: string) => note(`${name.padEnd(9)} | ${line}`)
  return { name, grace: grace[name], start: () => startApp(name, env, say) }
}

function announce(config: Config, word: ServiceWord | undefined): void {
  const { host, port } = config.dashboard
  print(`The service runs (process ${process.pid}); Ctrl-C stops it.`)
  print(`  Backups:   ${config.directory}`)
  if (port !== 0) print(`  Dashboard: http://${host.includes(':') ? `[${host}]` : host}:${port}/`)
  if (config.sources.length + config.groups.length > 0) {
    for (const { name, connection } of config.sources) print(`  Database:  ${name} (${connection.shown})`)
    for (const { name, connection } of config.groups) {
      print(`  Databases: ${name} (every one at ${connection.shown})`)
    }
    print(
      `  A backup now, in another terminal${word === undefined ? ' with the same REDIS_URL' : ''}: npm run backup`,
    )
    return
  }
  print('  Database:  none is configured, so nothing is backed up. Stop with Ctrl-C and type for example:')
  print('    DATABASE_URL=postgresql://backup@localhost:5432/shop npm start')
}

function explainEnd(name: string, { status, words }: Ending): number {
  note(`The ${name} ${words}, as it said above; a restart would not mend that, so the service stops.`)
  return status ?? 1
}
