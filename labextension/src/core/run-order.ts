import type { Run, RunChange, RunItem } from './types';
import { hasEnded, isWaiting } from './formatting';

/** The parts of the list, in their order. */
export type GroupName = 'waiting' | 'active' | 'ended';

const ACTIVE_ORDER = ['paused', 'running', 'queued'];

/** The part of the list that a run is in. */
export function groupOf(run: RunItem): GroupName {
  if (isWaiting(run)) {
    return 'waiting';
  }
  return hasEnded(run) ? 'ended' : 'active';
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}

/** What waits for a person: what runs out first comes first. */
export function byDeadline(one: RunItem, other: RunItem): number {
  return compare(one.pause?.deadline ?? '', other.pause?.deadline ?? '');
}

/** What is under way: paused, running, queued, each newest first. */
export function byActivity(one: RunItem, other: RunItem): number {
  const rank = (run: RunItem): number => ACTIVE_ORDER.indexOf(run.status);
  return rank(one) - rank(other) || compare(other.id, one.id);
}

/** What has ended: what ended last comes first. */
export function byEnd(one: RunItem, other: RunItem): number {
  return compare(other.updated_at, one.updated_at) || compare(other.id, one.id);
}

/** A run as its event tells of it, until it is read. */
export function applyChange(run: RunItem, change: RunChange): RunItem {
  const { pause_kind: kind, deadline, step, status, updated_at } = change;
  const links = { resume_url: null, cancel_url: null };
  const pause = kind !== null && deadline !== null ? { kind, deadline, step, ...links } : null;
  return { ...run, status, pause, updated_at };
}

/** Drop what a list does not need: exports may be large. */
export function toRunItem(run: Run | RunItem): RunItem {
  const steps = run.steps.map(({ name, status, runs, error, started_at, ended_at }) => {
    return { name, status, runs, error, started_at, ended_at };
  });
  const item: RunItem & { event?: unknown } = { ...run, steps };
  delete item.event;
  return item;
}
