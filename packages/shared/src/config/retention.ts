import type { Retention } from './config.ts'
import type { FileSettings } from './file/grammar.ts'
import type { Values } from './variables.ts'

/** The rules that say what is kept, in the order in which they are documented. */
export const retentionRules = ['days', 'last', 'daily', 'weekly', 'monthly', 'yearly'] as const
type Rules = Pick<Retention, (typeof retentionRules)[number]>

/** Days for which a backup is kept where nobody says anything else. */
const usualDays = 30

const noRules: Rules = {
  days: undefined,
  last: undefined,
  daily: undefined,
  weekly: undefined,
  monthly: undefined,
  yearly: undefined,
}

/** As `BACKUP_RETENTION_…` have it. */
export function retentionOf(values: Values): Retention {
  const rules: Rules = {
    days: values.BACKUP_RETENTION_DAYS,
    last: values.BACKUP_RETENTION_LAST,
    daily: values.BACKUP_RETENTION_DAILY,
    weekly: values.BACKUP_RETENTION_WEEKLY,
    monthly: values.BACKUP_RETENTION_MONTHLY,
    yearly: values.BACKUP_RETENTION_YEARLY,
  }
  return {
    ...(saysRules(rules) ? rules : { ...noRules, days: usualDays }),
    minimum: values.BACKUP_RETENTION_MINIMUM,
  }
}

/**
 * Rules are taken together: who names one names all, so that `daily: 7` means seven days and not also the thirty
 * that somebody else wished for. The minimum protects and is inherited by itself.
 */
export function layeredRetention(under: Retention, over: FileSettings['retention']): Retention {
  const minimum = over?.minimum ?? under.minimum
  if (over === undefined || !saysRules(over)) return { ...under, minimum }
  const { days, last, daily, weekly, monthly, yearly } = over
  return { days, last, daily, weekly, monthly, yearly, minimum }
}

/** Whether any rule is named. */
export function saysRules(said: object): boolean {
  return retentionRules.some((rule) => (said as Partial<Rules>)[rule] !== undefined)
}
