/** The steps of a backup, in the order in which a run meets them. Each has a queue and a worker of its own. */
export const steps = [
  'schedule',
  'run',
  'dump',
  'compress',
  'encrypt',
  'upload',
  'seal',
  'verify',
  'prune',
  'notify',
  'copy',
  'scrub',
] as const

/** One step of a backup. */
export type Step = (typeof steps)[number]
