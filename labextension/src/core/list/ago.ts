import { dateFormat } from '../times';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Return how long ago an instant is, or its day if it is not of the last 24 hours: `3 h ago`. */
export function ago(stamp: string, now = Date.now()): string {
  const at = new Date(stamp);
  const ms = now - at.getTime();
  if (Number.isNaN(ms)) {
    return stamp;
  }
  if (ms < MINUTE) {
    return 'just now';
  }
  if (ms < DAY) {
    return ms < HOUR ? `${Math.floor(ms / MINUTE)} min ago` : `${Math.floor(ms / HOUR)} h ago`;
  }
  const isThisYear = at.getFullYear() === new Date(now).getFullYear();
  const year = isThisYear ? {} : { year: 'numeric' as const };
  return dateFormat({ day: 'numeric', month: 'short', ...year }).format(at);
}
