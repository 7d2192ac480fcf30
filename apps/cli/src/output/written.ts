const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Bytes for people: `512 B`, `3.4 MiB`. */
export function size(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${power === 0 ? String(bytes) : value.toFixed(value < 10 ? 1 : 0)} ${units[power] ?? 'B'}`
}

/** Seconds for people: `4.2 s`, `3 min 5 s`, `2 h 10 min`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0)} s`
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)]
  return hours > 0
    ? `${String(hours)} h ${String(minutes)} min`
    : `${String(minutes)} min ${String(Math.floor(seconds % 60))} s`
}

/** A moment in a zone and the same in UTC: `2026-11-24 03:00 Europe/Amsterdam (2026-11-24 02:00 UTC)`. */
export function moment(time: Date, timeZone: string): string {
  return `${inZone(time, timeZone)} ${timeZone} (${inZone(time, 'UTC')} UTC)`
}

/** `2026-11-24 03:00:05` in a zone. */
export function inZone(time: Date, timeZone: string): string {
  // Swedish dates are ISO's.
  return new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' }).format(time)
}

/** `1 table`, `2 tables`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`
}
