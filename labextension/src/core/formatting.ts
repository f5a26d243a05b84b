import { ApiError } from './host';
import type { PauseKind, RunItem, RunStatus, StepStatus } from './types';

/** What a badge shows: a status, or `waiting` for a run that waits for a person. */
export type BadgeStatus = RunStatus | StepStatus | 'waiting';

/** The statuses of runs that have not ended. */
const ACTIVE_STATUSES: ReadonlySet<string> = new Set(['queued', 'running', 'paused']);

const BADGE_LABELS: Record<BadgeStatus, string> = {
  waiting: 'Waiting',
  paused: 'Paused',
  running: 'Running',
  queued: 'Queued',
  succeeded: 'Succeeded',
  failed: 'Failed',
  canceled: 'Canceled',
  pending: 'Pending',
  skipped: 'Skipped'
};

/** What happens at the deadline of a pause. A duration follows: "runs again in 5 min 10 s". */
const DEADLINE_LABELS: Record<PauseKind, string> = {
  suspend: 'time runs out in',
  rerun: 'runs again in',
  delay: 'continues in',
  retry: 'is tried again in'
};

const PAUSE_LABELS: Record<PauseKind, string> = {
  suspend: 'waits for a person',
  rerun: 'runs again later',
  delay: 'continues later',
  retry: 'is tried again later'
};

/** Return the label of a badge. */
export function badgeLabel(badge: BadgeStatus): string {
  return BADGE_LABELS[badge];
}

/** Return whether a run has ended. */
export function hasEnded(run: Pick<RunItem, 'status'>): boolean {
  return !ACTIVE_STATUSES.has(run.status);
}

/** Return whether a run waits for a person. */
export function isWaiting(run: Pick<RunItem, 'pause'>): boolean {
  return run.pause?.kind === 'suspend';
}

/** Return the badge status of a run. */
export function runBadge(run: Pick<RunItem, 'pause' | 'status'>): BadgeStatus {
  return isWaiting(run) ? 'waiting' : run.status;
}

/** Return the label before the countdown of a pause. */
export function deadlineLabel(kind: PauseKind): string {
  return DEADLINE_LABELS[kind];
}

/** Return what a paused step waits for, as in "Step ask waits for a person". */
export function pauseLabel(kind: PauseKind): string {
  return PAUSE_LABELS[kind];
}

/** Return a count with its noun, such as `1 run` or `3 runs`. */
export function formatCount(count: number, noun: string): string {
  return `${count.toLocaleString()} ${noun}${count === 1 ? '' : 's'}`;
}

/**
 * Return the name of a run's current step.
 *
 * That is the step that is paused, running, failed or next. For a run that has ended, it is the
 * step that failed or was started last.
 */
export function currentStep(run: RunItem): string {
  if (run.pause) {
    return run.pause.step;
  }
  if (run.error?.step) {
    return run.error.step;
  }
  const order: StepStatus[] = ['running', 'paused', 'failed', 'canceled'];
  const found = order.map(status => run.steps.find(step => step.status === status)).find(Boolean);
  const next = hasEnded(run)
    ? [...run.steps].reverse().find(step => step.started_at !== null)
    : run.steps.find(step => step.status === 'pending');
  return (found ?? next ?? run.steps.at(0))?.name ?? '';
}

// eslint-disable-next-line no-control-regex
const ANSI = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

/** Return a text without its ANSI escape sequences. */
export function stripAnsi(text: string): string {
  return text.replace(ANSI, '');
}

/** Return the message for a failed request that reads. */
export function readErrorMessage(error: unknown): string {
  if (error instanceof ApiError) {
    return error.status === 0
      ? 'The server does not answer. Check that it is running.'
      : commonErrorMessage(error);
  }
  return error instanceof Error ? error.message : String(error);
}

/** Reasons whose messages say all that a person needs to know. */
const PLAIN_REASONS = ['already_answered', 'approvers_only'];

/** Return the message for a failed request to resume, approve, reject or cancel. */
export function actionErrorMessage(error: unknown): string {
  if (!(error instanceof ApiError)) {
    return readErrorMessage(error);
  }
  if (PLAIN_REASONS.includes(error.reason) && error.message) {
    return error.message;
  }
  switch (error.status) {
    case 0:
      return 'The server does not answer. Check the status of the run before you try again.';
    case 409:
      return error.reason === 'ended'
        ? 'Nothing was changed: the run has already ended.'
        : 'Nothing was changed: the run is no longer paused.';
    case 410:
      return withDetail('Nothing was changed: the pause has already ended.', error.message);
    default:
      return commonErrorMessage(error);
  }
}

function commonErrorMessage(error: ApiError): string {
  switch (error.status) {
    case 401:
    case 403:
      return 'The server does not allow this. Try to log in again.';
    case 404:
      return 'The run no longer exists.';
    case 413:
      return withDetail('The data is too large.', error.message);
    default:
      return error.message || `The server answered with an error (${error.status}).`;
  }
}

function withDetail(message: string, detail: string): string {
  return detail ? `${message} ${detail}` : message;
}
