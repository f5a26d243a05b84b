/** Who is asked, who has approved, and how pauses were decided, in words. */
import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { time } from '../parts';
import type { Decider, Decision, Pause, Run, RunItem } from '../types';

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
export function approvals(pause: Pause): TemplateResult {
  const each = pause.approvals.map(({ name, via, at, note }) => {
    const who = name ?? `Someone ${WAYS[via]}`;
    return html`${who} approved, ${time(at)}${note === null ? '' : ` (“${note}”)`}; `;
  });
  return html`${each}${missingText(pause)}.`;
}

/** Return the newest decision of a run, with its step if others were decided as well. */
export function newestDecision(decisions: readonly Decision[]): unknown {
  const newest = decisions.at(-1);
  if (newest === undefined) {
    return nothing;
  }
  const isOnly = decisions.every(({ step }) => step === newest.step);
  const step = isOnly ? nothing : html` (step ${newest.step})`;
  const items = decisionItems(newest).map(item => html`<li>${item}${step}</li>`);
  return html`<ul class="jp-PDFlow-decided" role="list">
    ${items}
  </ul>`;
}

/**
 * Return the decisions of a run, without those of timers that only ended a delay or started a step
 * again. A step that called `suspend` has the export `$decision`.
 */
export function answersOf(run: Run): Decision[] {
  const asking = run.steps.filter(step => '$decision' in step.exports).map(step => step.name);
  return run.decisions.filter(
    ({ outcome, step }) => outcome !== 'timed_out' || asking.includes(step)
  );
}

/** Return the decisions of a step, the newest first. */
export function decisionList(decisions: readonly Decision[]): unknown {
  if (decisions.length === 0) {
    return nothing;
  }
  const items = [...decisions]
    .reverse()
    .flatMap(decisionItems)
    .map(item => html`<li>${item}</li>`);
  const earlier = items.splice(MAX_SHOWN);
  return html`<div class="jp-PDFlow-decisions">
    <ul role="list">
      ${items}
    </ul>
    ${
      earlier.length === 0
        ? nothing
        : html`<details>
            <summary>${earlier.length} earlier</summary>
            <ul role="list">
              ${earlier}
            </ul>
          </details>`
    }
  </div>`;
}

/** Return a decision in words, for each person that has decided. */
function decisionItems({ outcome, at, by }: Decision): TemplateResult[] {
  const what = OUTCOMES[outcome];
  if (by.length === 0 || outcome === 'timed_out') {
    return [html`${what}, ${time(at)}`];
  }
  return by.map(({ name, via, at: when, note }) => {
    const who = name === null ? WAYS[via] : `by ${name}`;
    const way = name === null ? '' : `, ${WAYS[via]}`;
    return html`${what} ${who}, ${time(when)}${way}${note ? `: ${note}` : ''}`;
  });
}
