/** Who is asked, who has approved, and how pauses were decided, in words. */
import { cls, el } from './dom';
import type { Decider, Decision, Pause, RunItem } from './types';
import { timeNode, ValueView } from './view-parts';

/** Number of decisions of a step that are shown at first: a rerun step may have many. */
const MAX_SHOWN = 3;

const GROUP = 'group:';

const OUTCOMES: Record<Decision['outcome'], string> = {
  approved: 'Approved',
  resumed: 'Resumed',
  rejected: 'Rejected',
  canceled: 'Canceled',
  timed_out: 'The time ran out'
};

const WAYS: Record<Decider['via'], string> = {
  link: 'by a link',
  jupyter: 'from JupyterLab',
  api: 'from the API',
  cli: 'from the command line',
  timer: 'by the timer'
};

const THEN: Record<Pause['on_timeout'], string> = {
  resume: 'then the run continues without an answer',
  cancel: 'then the run is canceled',
  fail: 'then the run fails'
};

/** Return whether a pause asks something, so that a person has to look. */
export function asks(pause: Pause | null): boolean {
  if (pause?.kind !== 'suspend') {
    return false;
  }
  return pause.message !== null || pause.form !== null || pause.approvers.length > 0;
}

/** Return whether two pauses of a run are the same one. */
export function isSamePause(one: Pause, other: Pause): boolean {
  return one.step === other.step && one.since === other.since;
}

/** Return whether a resume was only counted as an approval, because more are required. */
export function isCounted(
  before: Pick<RunItem, 'pause'>,
  after: Pick<RunItem, 'pause'>
): after is { pause: Pause } {
  return before.pause !== null && after.pause !== null && isSamePause(before.pause, after.pause);
}

/** Return names as a list of a sentence: `ada, bob or the group finance`. */
export function listNames(names: readonly string[], conjunction: 'and' | 'or'): string {
  const shown = names.map(name =>
    name.startsWith(GROUP) ? `the group ${name.slice(GROUP.length)}` : name
  );
  const last = shown.pop() ?? '';
  return shown.length > 0 ? `${shown.join(', ')} ${conjunction} ${last}` : last;
}

/** Return who is asked by a pause, and how many of them have to approve. */
export function askedText({ step, approvers, required }: Pause): string {
  if (approvers.length === 0) {
    return `Step ${step} waits for a person.`;
  }
  if (required > 1) {
    return `Step ${step} asks ${listNames(approvers, 'and')}; ${required} of them have to approve.`;
  }
  const isOne = approvers.length === 1 && !approvers[0].startsWith(GROUP);
  const rule = isOne ? '' : '; one approval is enough';
  return `Step ${step} asks ${listNames(approvers, 'or')}${rule}.`;
}

/** Return how many approvals are missing: `one more has to approve`. */
export function missingText({ required, approvals }: Pause): string {
  const missing = Math.max(0, required - approvals.length);
  return missing === 1 ? 'one more has to approve' : `${missing} more have to approve`;
}

/** Return what happens if a pause is not answered in time. */
export function timeoutText(pause: Pause): string {
  return THEN[pause.on_timeout];
}

/** Return who has approved, with the times: `Ada approved, 10:20; one more has to approve.` */
export function approvalNodes(pause: Pause): (Node | string)[] {
  const each = pause.approvals.map(({ name, via, at, note }) => [
    `${name ?? `Someone ${WAYS[via]}`} approved, `,
    timeNode(at),
    note === null ? '; ' : ` (“${note}”); `
  ]);
  return [...each.flat(), `${missingText(pause)}.`];
}

/** Return a view of the decisions of a step, the newest first. */
export function decisionsView(): ValueView<Decision[]> {
  return new ValueView((decisions, node) => {
    const items = [...decisions].reverse().flatMap(decisionNodes);
    const earlier = items.splice(MAX_SHOWN);
    node.classList.add(cls('decisions'));
    node.append(el('ul', { role: 'list' }, ...items));
    if (earlier.length > 0) {
      const summary = el('summary', {}, `${earlier.length} earlier`);
      node.append(el('details', {}, summary, el('ul', { role: 'list' }, ...earlier)));
    }
  });
}

/** Return a decision as items of a list, one for each person that has decided. */
function decisionNodes({ outcome, at, by }: Decision): HTMLLIElement[] {
  const what = OUTCOMES[outcome];
  if (by.length === 0 || outcome === 'timed_out') {
    return [el('li', {}, `${what}, `, timeNode(at))];
  }
  return by.map(({ name, via, at: time, note }) => {
    const who = name === null ? WAYS[via] : `by ${name}`;
    const way = name === null ? '' : `, ${WAYS[via]}`;
    return el('li', {}, `${what} ${who}, `, timeNode(time), `${way}${note ? `: ${note}` : ''}`);
  });
}
