export interface DemoOptions {
  /** Leaves everything running and on disk, and prints where. */
  readonly keep?: boolean | undefined
}

/** Shows the product at work. Reads its own configuration (`DATABASE_URL`). @returns the exit status */
export async function runDemo(_options: DemoOptions = {}): Promise<number> {
  return Promise.reject(new Error('not there yet'))
}
