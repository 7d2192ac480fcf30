import { userInfo } from 'node:os'
import { type Config, isLoopback, type RedisAddress } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { createLogger, type Logger } from '@securyflex/shared/logging'
import type { RequestHandler } from 'express'
import { dashboardApp } from './app.ts'
import { bullBoard } from './board/bull-board.ts'
import { openQueuesWhenReady } from './board/open-queues.ts'
import { addressOf, listen, stopListening } from './listen.ts'
import { connectForRequests } from './redis.ts'
import { tunnelHint } from './tunnel-hint.ts'

export interface StartOptions {
  /** Default: one named `dashboard` that also writes to the configured directory. */
  readonly logger?: Logger
  /** Default: the configured one. */
  readonly redis?: RedisAddress
}

export interface RunningDashboard extends AsyncDisposable {
  /** To be typed into a browser. */
  readonly address: string
  close(): Promise<void>
}

/**
 * Serves the dashboard until it is closed. It starts and stays up while Redis is down.
 * @throws CONFIG_INVALID without a Redis address, or open to others without a password; PORT_IN_USE
 */
export async function startDashboard(config: Config, options: StartOptions = {}): Promise<RunningDashboard> {
  const { host, port } = config.dashboard
  const redisAddress = options.redis ?? config.redis
  if (redisAddress === undefined) throw noRedis()
  refuseOpenDoor(config)

  const server = await listen(host, port)
  const logger = options.logger ?? createLogger({ name: 'dashboard', ...config.logs })
  const { redis, trouble } = connectForRequests(redisAddress, logger)
  const destinations = config.destinations.map(({ name }) => name)
  let board: RequestHandler | undefined
  const queues = openQueuesWhenReady(redis, destinations, logger, (opened) => {
    board = bullBoard(opened, destinations, '/board')
  })
  const around = {
    config,
    logger,
    redis,
    trouble,
    address: redisAddress,
    queues: () => queues.current,
    board: () => board,
  }
  server.on('request', dashboardApp(around))
  const address = addressOf(server)
  announce(config, logger, address)

  const close = async () => {
    await stopListening(server)
    await queues[Symbol.asyncDispose]()
    redis.disconnect()
    if (options.logger === undefined) await logger.close()
  }
  let closing: Promise<void> | undefined
  const closeOnce = () => (closing ??= close())
  return { address: address.url, close: closeOnce, [Symbol.asyncDispose]: closeOnce }
}

function announce(
  { dashboard }: Config,
  logger: Logger,
  { host, port, url }: { host: string; port: number; url: string },
): void {
  const { sshConnection } = dashboard
  // Only a session has a user for sure; in a container the process may have none.
  const tunnel =
    sshConnection !== undefined && isLoopback(host)
      ? tunnelHint(sshConnection, port, userInfo().username, host)
      : undefined
  if (tunnel === undefined) {
    logger.info(`The dashboard is at ${url}`)
    return
  }
  logger.info(`Only this machine reaches the dashboard; on your own, type: ${tunnel}`)
  logger.info(`The dashboard is then at http://127.0.0.1:${port}/`)
}

/** The configuration refuses this already; whoever made it by other means is stopped here. */
function refuseOpenDoor({ dashboard: { host, user, password } }: Config): void {
  if (isLoopback(host) || (user !== undefined && password !== undefined)) return
  throw new BackupError(
    'CONFIG_INVALID',
    `At ${host} others reach the dashboard, and it asks for no password.`,
    {
      hint: 'Set DASHBOARD_USER and DASHBOARD_PASSWORD, or DASHBOARD_HOST=127.0.0.1.',
    },
  )
}

function noRedis(): BackupError {
  return new BackupError(
    'CONFIG_INVALID',
    'REDIS_URL is not set, and the dashboard shows what Redis holds.',
    {
      hint: 'Set for example REDIS_URL=redis://127.0.0.1:6379, or start everything with: npm start',
    },
  )
}
