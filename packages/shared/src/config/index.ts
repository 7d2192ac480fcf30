export type {
  Channel,
  Cipher,
  Compression,
  Config,
  Dashboard,
  FingerprintLevel,
  Keys,
  Limits,
  Logs,
  LogLevel,
  RedisAddress,
  RedisTls,
  RequestedOptions,
  Retention,
  Schedule,
  Scrubbing,
  Selection,
  Source,
  SourceGroup,
  SourceSettings,
  Spool,
  Webhook,
  WorkerSettings,
} from './config.ts'
export { compressionLevels } from './compression.ts'
export type { Connection, Host, ParsedConnection, Ssl, SslMode } from './connection/connection.ts'
export { wantsDebug } from './debug.ts'
export {
  type AzureDestination,
  type Destination,
  type GcsDestination,
  type LocalDestination,
  type ObjectLock,
  type S3Destination,
  shownPlace,
} from './destinations/destination.ts'
export { type Step, steps } from './steps.ts'
export { parseConnection } from './connection/parse.ts'
export { groupOf, groupThatHides, leavesOut, memberName, memberOf } from './group.ts'
export { type Explained, explainConfig, type ExplainedSource, type Explanation } from './explain.ts'
export { type Addition, type NewSource, planDestination, planInstallation, planSource } from './file/add.ts'
export { configurationSchema } from './file/schema.ts'
export { inheritedEnvironment, searchPath, separateEnvironment } from './inherit.ts'
export { loadConfig, type LoadOptions, type Need, type Texts } from './load.ts'
export { isLoopback } from './parsers.ts'
export { isSame, type Reloaded, reloadConfig, type Reloading, reloadOnHangup } from './reload.ts'
export { readShare } from './share.ts'
export { findGroup, requireSource, settingsOf } from './source.ts'
