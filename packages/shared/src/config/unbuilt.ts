/** The feature that a variable belongs to, if that is not built yet; ignoring it would promise what does not happen. */
export function unbuiltFeature(name: string): string | undefined {
  return name.startsWith('BACKUP_EMAIL') ? 'announcing by e-mail' : undefined
}
