/** Times as text: durations in units, instants in the browser's time zone. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Return a duration, such as `120 ms`, `3.2 s`, `5 min 10 s`, `1 day 3 h`. */
export function duration(ms: number): string {
  if (ms < SECOND) {
    return `${Math.max(0, Math.round(ms))} ms`;
  }
  if (ms < MINUTE - 50) {
    return `${Number((ms / SECOND).toFixed(1))} s`;
  }
  return wholeUnits(Math.round(ms / SECOND) * SECOND);
}

/** Return a remaining time in whole seconds, such as `42 s`, `5 min 10 s`, `1 day 3 h`. */
export function remaining(ms: number): string {
  const whole = Math.ceil(Math.max(0, ms) / SECOND) * SECOND;
  return whole < MINUTE ? `${whole / SECOND} s` : wholeUnits(whole);
}

/** Return a time in its two largest units. */
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

/**
 * Return an instant, with its day and year only if they differ from today's: `21 Nov, 14:32`.
 *
 * @param hasSeconds - whether the seconds are shown
 */
export function shortTime(stamp: string, now: Date = new Date(), hasSeconds = false): string {
  const at = new Date(stamp);
  if (Number.isNaN(at.getTime())) {
    return stamp;
  }
  const options: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit' };
  if (hasSeconds) {
    options.second = '2-digit';
  }
  if (at.toDateString() !== now.toDateString()) {
    Object.assign(options, { day: 'numeric', month: 'short' });
  }
  if (at.getFullYear() !== now.getFullYear()) {
    options.year = 'numeric';
  }
  return dateFormat(options).format(at);
}

/** Return an instant with its full date and time zone. */
export function fullTime(stamp: string): string {
  const at = new Date(stamp);
  if (Number.isNaN(at.getTime())) {
    return stamp;
  }
  return dateFormat({ dateStyle: 'full', timeStyle: 'long' }).format(at);
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Return a format of instants, which is made once: that takes longer than to use it. */
export function dateFormat(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = JSON.stringify(options);
  const known = formats.get(key);
  const format = known ?? new Intl.DateTimeFormat(undefined, options);
  formats.set(key, format);
  return format;
}

/** Return the milliseconds from one instant to another, or to now for null. */
export function elapsedMs(from: string, to: string | null): number {
  return Math.max(0, (to === null ? Date.now() : Date.parse(to)) - Date.parse(from));
}
