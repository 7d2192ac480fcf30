import type { NewDatabase } from '@securyflex/shared/postgres'
import type { Manifest } from '@securyflex/shared/repository'

const providers = ['libc', 'icu', 'builtin'] as const

/** How a database must be created to be like the source's; what the manifest does not say is the server's default. */
export function shapeOf({ database }: Pick<Manifest, 'database'>): NewDatabase {
  const { encoding, collate, characterType, locale, icuRules } = database
  const localeProvider = providers.find((provider) => provider === database['localeProvider'])
  return {
    ...(typeof encoding === 'string' ? { encoding } : {}),
    ...(typeof collate === 'string' ? { collate } : {}),
    ...(typeof characterType === 'string' ? { characterType } : {}),
    ...(localeProvider === undefined ? {} : { localeProvider }),
    ...(locale === undefined ? {} : { locale }),
    ...(icuRules === undefined ? {} : { icuRules }),
  }
}
