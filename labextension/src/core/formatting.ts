import { ApiError } from './host';
import type { PauseKind, RunItem, RunStatus, StepStatus } from './types';

/** What a badge can say: a status, or that a run waits for a person. */
export type BadgeStatus = RunStatus | StepStatus | 'waiting';

/** The statuses in which a run has not ended. */
const ACTIVE_STATUSES: ReadonlySet<string> = new Set(['queued', 'running', 'paused']);

const BADGE_LABELS: Record<BadgeStatus, string> = {
  waiting: 'Waiting',
  paused: 'Paused',
  running: 'Running',
  queued: 'Queued',
  succeeded: 'Succeeded',
  failed: 'Failed',
  canceled: 'Canceled',
  pending: 'Not yet',
  skipped: 'Skipped'
};

/** What happens at the deadline of a pause, as in "… in 5 min 10 s". */
const DEADLINE_LABELS: Record<PauseKind, string> = {
  suspend: 'time runs out in',
  rerun: 'runs again in',
  delay: 'goes on in'
};

const PAUSE_LABELS: Record<PauseKind, string> = {
  suspend: 'waits for a person',
  rerun: 'runs again later',
  delay: 'goes on later'
};

/** The word of a badge. */
export function badgeLabel(badge: BadgeStatus): string {
  return BADGE_LABELS[badge];
}

/** Whether a run has ended. */
export function hasEnded(run: Pick<RunItem, 'status'>): boolean {
  return !ACTIVE_STATUSES.has(run.status);
}

/** Whether a run waits for a person. */
export function isWaiting(run: Pick<RunItem, 'pause'>): boolean {
  return run.pause?.kind === 'suspend';
}

/** What the badge of a run says. */
export function runBadge(run: Pick<RunItem, 'pause' | 'status'>): BadgeStatus {
  return isWaiting(run) ? 'waiting' : run.status;
}

/** What stands before the countdown of a pause. */
export function deadlineLabel(kind: PauseKind): string {
  return DEADLINE_LABELS[kind];
}

/** What a pause is for. */
export function pauseLabel(kind: PauseKind): string {
  return PAUSE_LABELS[kind];
}

/** Count things: `1 run`, `3 runs`. */
export function formatCount(count: number, thing: string): string {
  return `${count.toLocaleString()} ${thing}${count === 1 ? '' : 's'}`;
}

/** The step that a run is at: the one that waits, is executed, failed or is next. */
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

/** Take the colours of a terminal out of a text. */
export function stripAnsi(text: string): string {
  return text.replace(ANSI, '');
}

/** Say what went wrong with a request that reads. */
export function readErrorMessage(error: unknown): string {
  if (error instanceof ApiError) {
    return error.status === 0
      ? 'The server gives no answer: it may be stopped or out of reach.'
      : commonErrorMessage(error);
  }
  return error instanceof Error ? error.message : String(error);
}

/** Say what became of a request to resume or cancel that did not succeed. */
export function actionErrorMessage(error: unknown): string {
  if (!(error instanceof ApiError)) {
    return readErrorMessage(error);
  }
  switch (error.status) {
    case 0:
      return 'The server gives no answer: it may be stopped or out of reach. Look at the status of the run before you try again.';
    case 409:
      return error.reason === 'ended'
        ? 'Nothing was changed: the run has ended already.'
        : 'Nothing was changed: the run is not waiting any more.';
    case 410:
      return withDetail('Nothing was changed: this was settled before.', error.message);
    default:
      return commonErrorMessage(error);
  }
}

function commonErrorMessage(error: ApiError): string {
  switch (error.status) {
    case 401:
    case 403:
      return 'The server does not allow this: you may have to log in again.';
    case 404:
      return 'There is no such run any more.';
    case 413:
      return withDetail('The data are too large.', error.message);
    default:
      return error.message || `The server answered with an error (${error.status}).`;
  }
}

function withDetail(message: string, detail: string): string {
  return detail ? `${message} ${detail}` : message;
}
