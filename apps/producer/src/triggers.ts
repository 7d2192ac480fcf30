import type { Config } from '@securyflex/shared/config'
import { asBackupError, BackupError, redact } from '@securyflex/shared/errors'
import type { Logger } from '@securyflex/shared/logging'
import {
  answersKey,
  auditKey,
  describeAction,
  fieldsOf,
  parseTriggerFields,
  type Queues,
  readAction,
  recordAction,
  redisTrouble,
  type Requested,
  requestTriggered,
  timeOfEntry,
  triggerKey,
} from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import { type Entry, group, readStreams } from './streams.ts'

/** As many answers are kept, more or less. */
const keepAnswers = 1000
/** An entry that a producer took and did not finish is taken over after so many ms. */
const defaultTakeOver = 30_000
/** What is told of a wrong trigger is no longer than this. */
const longestSaid = 1000

/** What triggers are made runs with. */
export interface TriggerContext {
  readonly config: () => Config
  readonly queues: Queues
  readonly logger: Logger
  readonly clock: () => Date
  /** ms; for tests */
  readonly takeOverAfter?: number
}

/**
 * Makes a run of each entry of the stream of triggers, and answers it; copies what people do from the list of
 * actions into the log. Several producers share both.
 */
export function serveTriggers(context: TriggerContext): { stop(): Promise<void> } {
  const { queues, logger, takeOverAfter = defaultTakeOver } = context
  const redis = queues.redis.duplicate()
  // The connection beside it tells of the same trouble.
  redis.on('error', () => undefined)
  const reader = readStreams({
    redis,
    streams: [triggerKey, auditKey],
    takeOverAfter,
    handle: (entry) => (entry.stream === auditKey ? log(context, entry) : answer(context, entry)),
    say: (error) => {
      if (redis.status === 'ready') logger.warn(`A trigger waits: ${asBackupError(error).message}`, { error })
    },
  })
  return {
    async stop() {
      const stopped = reader.stop()
      redis.disconnect()
      await stopped
    },
  }
}

/** An entry that is delivered again gets the run that it got before. */
async function answer(context: TriggerContext, { id, fields }: Entry): Promise<void> {
  const { queues, logger } = context
  try {
    const { run, accepted, again } = await ask(context, id, fields)
    const outcome = accepted ? 'accepted' : again ? 'again' : 'overlap'
    await settle(queues.redis, id, ['outcome', outcome, 'run', run])
    logger.info(`The trigger ${id} is ${run} (${outcome}).`, { run })
  } catch (error) {
    // Redis is away, say: the entry stays, and is looked at again.
    if (isPassing(error, queues.redis)) throw error
    if (!(error instanceof BackupError)) logger.error(`The trigger ${id} could not be served.`, { error })
    await refuse(context, id, fields, asBackupError(error))
  }
}

/** Whether the same trigger may be served later. A mistake of ours is none that waiting mends: it would stop all others. */
function isPassing(error: unknown, redis: Queues['redis']): boolean {
  if (error instanceof BackupError) return error.class === 'transient'
  return redisTrouble(error) !== undefined || redis.status !== 'ready'
}

async function ask(
  { config, queues, clock }: TriggerContext,
  id: string,
  fields: readonly string[],
): Promise<Requested> {
  const trigger = parseTriggerFields(fieldsOf(fields))
  const now = clock()
  await queues.redis.set(runKey(id), newRunId(trigger.source, now), 'EX', keepRun, 'NX')
  const run = (await queues.redis.get(runKey(id))) ?? newRunId(trigger.source, now)
  const at = new Date(Math.min(timeOfEntry(id).getTime(), now.getTime()))
  return requestTriggered(queues, config(), trigger, { by: `trigger ${id}`, at, id: run })
}

/** The run that an entry got when it was first looked at. */
const runKey = (id: string) => `${triggerKey}:run:${id}`
/** Longer than an entry waits to be delivered again, in seconds. */
const keepRun = 30 * 24 * 60 * 60

async function refuse(
  { queues, logger }: TriggerContext,
  id: string,
  fields: readonly string[],
  { code, message, hint = '' }: BackupError,
): Promise<void> {
  const said = redact(message).slice(0, longestSaid)
  logger.warn(`The trigger ${id} is refused: ${said}`)
  const source = fieldsOf(fields)['source'] ?? 'a trigger'
  const detail = `${said} [${code}]`
  await recordAction(queues.redis, {
    by: `trigger ${id}`,
    what: 'refuse',
    subject: source.slice(0, 64),
    detail,
  })
  await settle(queues.redis, id, ['outcome', 'refused', 'code', code, 'error', said, 'hint', redact(hint)])
}

/**
 * Answers an entry and ends it, unless another producer has done so. KEYS: triggers, answers, the entry's run.
 * ARGV: group, entry, answers to keep, and the answer's fields.
 */
const settleEntry = `
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'trigger', ARGV[2], unpack(ARGV, 4))
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('DEL', KEYS[3])
return 1
`

/** The answer and the end of the entry are one step, so that there is one answer, and none is lost. */
async function settle(redis: Queues['redis'], id: string, fields: readonly string[]): Promise<void> {
  const keys = [triggerKey, answersKey, runKey(id)] as const
  await redis.eval(settleEntry, 3, ...keys, group, id, keepAnswers, ...fields)
}

/** Who did what, in the log of one producer. */
async function log({ queues, logger }: TriggerContext, { id, fields }: Entry): Promise<void> {
  const action = readAction(id, fields)
  // Refused triggers and skipped slots have their own lines where they happened.
  const told = describeAction(action)
  if (action.what === 'skip' || action.what === 'refuse') logger.debug(told)
  else logger.info(told.charAt(0).toUpperCase() + told.slice(1), { at: action.at })
  await queues.redis.xack(auditKey, group, id)
}
