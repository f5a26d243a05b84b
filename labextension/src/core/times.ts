/** How times are said to people: durations in words, instants in the reader's own time zone. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Say how long something took: `120 ms`, `3.2 s`, `5 min 10 s`, `1 day 3 h`. */
export function duration(ms: number): string {
  if (ms < SECOND) {
    return `${Math.max(0, Math.round(ms))} ms`;
  }
  if (ms < MINUTE - 50) {
    return `${Number((ms / SECOND).toFixed(1))} s`;
  }
  return wholeUnits(Math.round(ms / SECOND) * SECOND);
}

/** Say how much time is left, in whole seconds: `42 s`, `5 min 10 s`, `1 day 3 h`. */
export function remaining(ms: number): string {
  const whole = Math.ceil(Math.max(0, ms) / SECOND) * SECOND;
  return whole < MINUTE ? `${whole / SECOND} s` : wholeUnits(whole);
}

/** Say a time by its two largest units. */
function wholeUnits(ms: number): string {
  const days = Math.floor(ms / DAY);
  const parts: [number, string][] = [
    [days, days === 1 ? 'day' : 'days'],
    [Math.floor((ms % DAY) / HOUR), 'h'],
    [Math.floor((ms % HOUR) / MINUTE), 'min'],
    [Math.floor((ms % MINUTE) / SECOND), 's']
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

/** Say when something was, as shortly as it is clear: `14:32`, `21 Nov, 14:32`, `21 Nov 2025, 14:32`. */
export function shortTime(stamp: string, now: Date = new Date()): string {
  const at = new Date(stamp);
  if (Number.isNaN(at.getTime())) {
    return stamp;
  }
  const options: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit' };
  if (at.toDateString() !== now.toDateString()) {
    Object.assign(options, { day: 'numeric', month: 'short' });
  }
  if (at.getFullYear() !== now.getFullYear()) {
    options.year = 'numeric';
  }
  return new Intl.DateTimeFormat(undefined, options).format(at);
}

/** Say exactly when something was, with the time zone. */
export function fullTime(stamp: string): string {
  const at = new Date(stamp);
  if (Number.isNaN(at.getTime())) {
    return stamp;
  }
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' }).format(at);
}

/** The milliseconds from one instant to another; to now where there is no other. */
export function elapsedMs(from: string, to: string | null): number {
  return Math.max(0, (to === null ? Date.now() : Date.parse(to)) - Date.parse(from));
}
