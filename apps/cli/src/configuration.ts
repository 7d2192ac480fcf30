import { type Config, loadConfig, type Need } from '@securyflex/shared/config'
import { note } from './output/print.ts'

/**
 * The configuration of this command.
 * @param needs what the command cannot do without
 */
export function configure(...needs: readonly Need[]): Config {
  return loadConfig({ needs })
}

/** The same, with what is allowed and probably not meant said on standard error. */
export function configureAloud(...needs: readonly Need[]): Config {
  const config = configure(...needs)
  for (const warning of config.warnings) note(`Note: ${warning}`)
  return config
}
