/** Variables of features that are not built yet; ignoring them would promise what does not happen. */
const unbuilt: Readonly<Record<string, string>> = {
  BACKUP_CLOUD_PROVIDER: 'storing backups in a cloud',
  BACKUP_CLOUD_BUCKET: 'storing backups in a cloud',
  BACKUP_CLOUD_REGION: 'storing backups in a cloud',
  BACKUP_CLOUD_PREFIX: 'storing backups in a cloud',
  BACKUP_CLOUD_ENDPOINT: 'storing backups in a cloud',
  BACKUP_LOCAL: 'turning the local destination off',
}

/** The feature that a variable belongs to, if that is not built yet. */
export function unbuiltFeature(name: string): string | undefined {
  if (name.startsWith('BACKUP_EMAIL')) return 'announcing by e-mail'
  return Object.hasOwn(unbuilt, name) ? unbuilt[name] : undefined
}
