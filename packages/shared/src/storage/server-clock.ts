/** How long an answer's time is good enough to go on counting from, in ms: our own clock may drift. */
const fresh = 60_000

/** A place's own clock, from what it dates now: a server's answers, in whole seconds and never ahead of it, or a new file. */
export class ServerClock {
  #said: { readonly time: number; readonly at: number } | undefined

  /** Takes note of an answer's `Date`; anything else is left alone. */
  observe(date: string | Date | null | undefined): void {
    const time = date instanceof Date ? date.getTime() : Date.parse(date ?? '')
    if (Number.isFinite(time)) this.#said = { time, at: performance.now() }
  }

  /** What it shows now; `ask` makes the server answer something where it has not done so lately. */
  async now(ask: () => Promise<unknown>): Promise<Date> {
    if (this.#said === undefined || performance.now() - this.#said.at > fresh) await ask()
    if (this.#said === undefined) return new Date()
    return new Date(this.#said.time + performance.now() - this.#said.at)
  }
}
