/** Which runs a list shows. */
import { currentStep, hasEnded, isWaiting } from './formatting';
import type { RunItem, RunStatus } from './types';

/** Which runs are listed. */
export interface Filter {
  /**
   * `waiting` stands for the runs that wait for a person, `active` for the others that have not
   * ended, and an empty string for all runs.
   */
  status: RunStatus | 'active' | 'waiting' | '';
  /** A workflow's id, or an empty string for all workflows. */
  workflow: string;
  /** The text of the search field. */
  text: string;
  /** The first instant at which a run may have started, or null. */
  since: string | null;
  /** The instant before which a run has to have started, or null. */
  until: string | null;
}

/** A filter that all runs match. */
export const ALL_RUNS: Filter = { status: '', workflow: '', text: '', since: null, until: null };

/** Return whether two filters differ in nothing but their text. */
export function differsInText(one: Filter, other: Filter): boolean {
  return JSON.stringify({ ...one, text: '' }) === JSON.stringify({ ...other, text: '' });
}

/** Return whether a run matches a filter. The text is not considered. */
export function matchesFilter(run: RunItem, filter: Filter): boolean {
  const { status, workflow, since, until } = filter;
  const at = Date.parse(run.created_at);
  const isOther = workflow !== '' && run.workflow_id !== workflow;
  const isEarlier = since !== null && at < Date.parse(since);
  const isLater = until !== null && at >= Date.parse(until);
  if (isOther || isEarlier || isLater) {
    return false;
  }
  return hasStatus(status, run.status, isWaiting(run));
}

/**
 * Return whether a run has the status of a filter.
 *
 * @param wanted - the status of the filter
 * @param status - the run's status
 * @param waits - whether the run waits for a person
 */
export function hasStatus(wanted: Filter['status'], status: RunStatus, waits: boolean): boolean {
  switch (wanted) {
    case '':
      return true;
    case 'waiting':
      return waits;
    case 'active':
      return !waits && !hasEnded({ status });
    default:
      return status === wanted;
  }
}

/**
 * Return whether a run's title, workflow, step, error and reason contain a text's words, or the
 * text is its id. A part of an id says nothing: digits of other numbers would be found in it.
 */
export function matchesSearch(run: RunItem, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    return true;
  }
  const { title, workflow_name, id, error, reason } = run;
  if (text.trim().toLowerCase() === id.toLowerCase()) {
    return true;
  }
  const fields = [title, workflow_name, currentStep(run), error?.message, reason];
  const haystack = fields.filter(Boolean).join('\n').toLowerCase();
  return words.every(word => haystack.includes(word));
}
