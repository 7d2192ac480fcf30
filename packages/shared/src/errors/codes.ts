/**
 * What kind of trouble an error is. Retry decisions and exit statuses follow from it alone.
 *
 * - `user`: the input, the configuration or the environment is wrong; repeating it changes nothing.
 * - `permanent`: the work itself cannot succeed as asked; repeating it changes nothing.
 * - `transient`: may succeed when repeated.
 */
export type ErrorClass = 'user' | 'permanent' | 'transient'

interface CodeFacts {
  readonly class: ErrorClass
  readonly exitStatus: number
}

/**
 * The one table of error codes. Exit statuses are documented for users in docs/exit-statuses.md;
 * a test holds the two together.
 */
export const codes = {
  INTERNAL: { class: 'permanent', exitStatus: 1 },
  SETUP_NEEDED: { class: 'user', exitStatus: 1 },

  USAGE: { class: 'user', exitStatus: 2 },
  CONFIG_INVALID: { class: 'user', exitStatus: 2 },
  PAYLOAD_INVALID: { class: 'permanent', exitStatus: 2 },
  PORT_IN_USE: { class: 'user', exitStatus: 2 },
  CONFIRMATION_NEEDED: { class: 'user', exitStatus: 2 },

  SOURCE_UNKNOWN: { class: 'user', exitStatus: 3 },
  BACKUP_NOT_FOUND: { class: 'user', exitStatus: 3 },
  FILE_NOT_FOUND: { class: 'user', exitStatus: 3 },
  FILE_NOT_RECOGNISED: { class: 'user', exitStatus: 3 },

  DATABASE_UNREACHABLE: { class: 'transient', exitStatus: 4 },
  DATABASE_REFUSED: { class: 'permanent', exitStatus: 4 },
  DATABASE_EXISTS: { class: 'user', exitStatus: 4 },
  DATABASE_BUSY: { class: 'transient', exitStatus: 4 },
  POOLER_REFUSED: { class: 'permanent', exitStatus: 4 },
  TOOL_MISSING: { class: 'permanent', exitStatus: 4 },
  TOOL_TOO_OLD: { class: 'permanent', exitStatus: 4 },
  DUMP_FAILED: { class: 'transient', exitStatus: 4 },
  SNAPSHOT_LOST: { class: 'transient', exitStatus: 4 },
  RESTORE_FAILED: { class: 'permanent', exitStatus: 4 },

  REDIS_UNREACHABLE: { class: 'transient', exitStatus: 5 },
  NO_WORKER: { class: 'user', exitStatus: 5 },

  STORAGE_UNREACHABLE: { class: 'transient', exitStatus: 6 },
  STORAGE_REFUSED: { class: 'permanent', exitStatus: 6 },
  STORAGE_FULL: { class: 'permanent', exitStatus: 6 },
  STORAGE_LOCKED: { class: 'permanent', exitStatus: 6 },
  SPOOL_UNUSABLE: { class: 'permanent', exitStatus: 6 },
  STALLED: { class: 'permanent', exitStatus: 6 },
  OTHER_INSTALLATION: { class: 'permanent', exitStatus: 6 },

  KEY_MISSING: { class: 'permanent', exitStatus: 7 },
  KEY_WRONG: { class: 'permanent', exitStatus: 7 },
  KEY_WEAK: { class: 'user', exitStatus: 7 },
  FORMAT_UNKNOWN: { class: 'permanent', exitStatus: 7 },
  SEGMENT_MISSING: { class: 'permanent', exitStatus: 7 },
  SEGMENT_TRUNCATED: { class: 'permanent', exitStatus: 7 },
  SEGMENT_TAMPERED: { class: 'permanent', exitStatus: 7 },
  SEGMENT_FOREIGN: { class: 'permanent', exitStatus: 7 },
  MANIFEST_DAMAGED: { class: 'permanent', exitStatus: 7 },
  STREAM_DAMAGED: { class: 'permanent', exitStatus: 7 },
  SPOOL_DAMAGED: { class: 'transient', exitStatus: 7 },
  COMPARISON_FAILED: { class: 'permanent', exitStatus: 7 },

  RUN_FAILED: { class: 'permanent', exitStatus: 8 },
  RUN_DEGRADED: { class: 'permanent', exitStatus: 9 },
  WEBHOOK_FAILED: { class: 'transient', exitStatus: 10 },
  UNHEALTHY: { class: 'permanent', exitStatus: 11 },
  SOURCE_PAUSED: { class: 'user', exitStatus: 12 },
  CANCELLED: { class: 'permanent', exitStatus: 130 },
} as const satisfies Record<string, CodeFacts>

/** A code of the table, e.g. `KEY_WRONG`. */
export type ErrorCode = keyof typeof codes
