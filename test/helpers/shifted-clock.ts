/** The clock of this process, as all of its code and its libraries see it. It goes on by itself. */
export interface ShiftedClock {
  /** Sets it. */
  to(time: Date): void
}

/** Puts a clock in the place of `Date` that is ahead by so many ms. What Redis and PostgreSQL think is the time stays. */
export function shiftClock(by: number): ShiftedClock {
  const Real = Date
  let ahead = by
  const now = () => Real.now() + ahead
  globalThis.Date = new Proxy(Real, {
    construct: (_, args: [number?]) =>
      args.length === 0 ? new Real(now()) : new Real(...(args as [number])),
    get: (target, name, receiver) =>
      name === 'now' ? now : (Reflect.get(target, name, receiver) as unknown),
  })
  return {
    to(time) {
      ahead = time.getTime() - Real.now()
    },
  }
}
