/** What a person has chosen above the list. */
import type { Filter } from '../filter';
import type { StatusCounts } from '../types';

/** The days of which runs are listed: `day` is one of the person's own. */
export type Period = '' | 'today' | 'week' | 'month' | 'day';

/** What a person has chosen above the list. */
export interface Choice extends Pick<Filter, 'status' | 'text' | 'workflow'> {
  period: Period;
  /** The day of their own as `2026-11-28`, or an empty string. */
  day: string;
}

/** The choice that all runs match. */
export const EVERYTHING: Choice = { status: '', workflow: '', text: '', period: '', day: '' };

const DAYS: Partial<Record<Period, number>> = { today: 1, week: 7, month: 30 };

/** Return the filter for a choice. Its days begin at midnight in the viewer's time zone. */
export function toFilter({ period, day, ...rest }: Choice, now = new Date()): Filter {
  return { ...rest, ...dates(period, day, now) };
}

/** Return whether a choice excludes any run. */
export function isSet({ status, workflow, text, period, day }: Choice): boolean {
  const hasDates = period === 'day' ? day !== '' : period !== '';
  return status !== '' || workflow !== '' || text.trim() !== '' || hasDates;
}

/** Return the number of runs with the status of a filter. */
export function countOf({ statuses, waiting }: StatusCounts, status: Filter['status']): number {
  const { queued, running, paused } = statuses;
  switch (status) {
    case '':
      return Object.values(statuses).reduce((sum, count) => sum + count, 0);
    case 'waiting':
      return waiting;
    case 'active':
      return queued + running + paused - waiting;
    default:
      return statuses[status];
  }
}

function dates(period: Period, day: string, now: Date): Pick<Filter, 'since' | 'until'> {
  const first = new Date(`${day}T00:00`);
  if (period === 'day' && !Number.isNaN(first.getTime())) {
    return { since: midnight(first, 0), until: midnight(first, 1) };
  }
  const count = DAYS[period];
  return { since: count === undefined ? null : midnight(now, 1 - count), until: null };
}

/** Return the midnight at the beginning of a day, some days later. */
function midnight(day: Date, later: number): string {
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + later).toISOString();
}
