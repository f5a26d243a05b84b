import { hasEnded, isWaiting } from './formatting';
import type { Pause, Run, RunChange, RunItem } from './types';

/** The groups of the list, in order. */
export type GroupName = 'waiting' | 'active' | 'ended';

const ACTIVE_ORDER = ['paused', 'running', 'queued'];

/** What a change does not say about the pause of a run. */
const UNREAD = {
  on_timeout: 'resume',
  message: null,
  form: null,
  approvers: [],
  required: 1,
  waiting_for: [],
  message_html: null,
  on_reject: 'cancel',
  approvals: [],
  undelivered: {},
  resume_url: null,
  cancel_url: null
} satisfies Partial<Pause>;

/** Return the group that a run belongs to. */
export function groupOf(run: RunItem): GroupName {
  if (isWaiting(run)) {
    return 'waiting';
  }
  return hasEnded(run) ? 'ended' : 'active';
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}

/** Compare waiting runs: the earliest deadline first. */
export function byDeadline(one: RunItem, other: RunItem): number {
  return compare(one.pause?.deadline ?? '', other.pause?.deadline ?? '');
}

/** Compare active runs: paused, running, queued, and the newest first within each. */
export function byActivity(one: RunItem, other: RunItem): number {
  const rank = (run: RunItem): number => ACTIVE_ORDER.indexOf(run.status);
  return rank(one) - rank(other) || compare(other.id, one.id);
}

/** Compare ended runs: the latest end first. */
export function byEnd(one: RunItem, other: RunItem): number {
  return compare(other.updated_at, one.updated_at) || compare(other.id, one.id);
}

/** Return a run with a change applied, to show until the run is read. */
export function applyChange(run: RunItem, change: RunChange): RunItem {
  const { pause_kind: kind, deadline, step, status, updated_at } = change;
  if (kind === null || deadline === null) {
    return { ...run, status, pause: null, updated_at };
  }
  const known = run.pause?.step === step && run.pause.deadline === deadline ? run.pause : null;
  const pause = known ?? { ...UNREAD, kind, deadline, step, since: updated_at };
  return { ...run, status, pause, updated_at };
}

/** Return a run without its event and exports, which may be large. */
export function toRunItem(run: Run | RunItem): RunItem {
  const steps = run.steps.map(({ name, status, runs, attempts, error, started_at, ended_at }) => {
    return { name, status, runs, attempts, error, started_at, ended_at };
  });
  const item: RunItem & { event?: unknown } = { ...run, steps };
  delete item.event;
  return item;
}
