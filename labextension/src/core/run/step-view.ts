import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { badge } from '../badge';
import type { BadgeStatus } from '../formatting';
import { formatCount, isWaiting } from '../formatting';
import type { Host } from '../host';
import { countUp, time } from '../parts';
import { duration, elapsedMs } from '../times';
import type { Output, Run, Step } from '../types';
import { errorView } from '../values/error-view';
import { exportsView } from '../values/exports-view';
import { fileLink } from '../values/files-view';
import { outputsView } from '../values/outputs-view';
import { answersOf, decisionList } from './decisions';

/** The properties of {@link stepView}. */
export interface StepViewProps {
  host: Host;
  run: Run;
  step: Step;
  outputs: Output[];
  /** Whether the step's name is left out, since the step's cell is above. */
  isUnnamed?: boolean;
}

/** Return one step of a run: its status, duration, decisions, error, outputs and exports. */
export function stepView(props: StepViewProps): TemplateResult {
  const { host, run, step, outputs, isUnnamed = false } = props;
  const { name, error, exports } = step;
  const resolveLink = (text: string): string | null => fileLink(host, run.id, text);
  const shown = withoutError(outputs, step);
  return html`<section
    class="jp-PDFlow-step"
    data-status=${step.status}
    aria-label=${`Step ${name}`}
  >
    ${isUnnamed ? nothing : head(run, step)}
    ${decisionList(answersOf(run).filter(decision => decision.step === name))}
    ${error === null ? nothing : errorView(error)}
    ${shown.length === 0 ? nothing : part('Output', outputsView(host, shown))}
    ${
      Object.keys(exports).length === 0
        ? nothing
        : part('Exports', exportsView(exports, resolveLink))
    }
  </section>`;
}

/** Return a step's outputs without its error, which is shown apart from them. */
export function withoutError(outputs: Output[], step: Pick<Step, 'error'>): Output[] {
  const isShown = step.error !== null && outputs.some(isError);
  return isShown ? outputs.filter(output => !isError(output)) : outputs;
}

function isError({ output_type: type }: Output): boolean {
  return type === 'error';
}

function part(title: string, content: unknown): TemplateResult {
  return html`<div class="jp-PDFlow-step-part">
    <h4>${title}</h4>
    ${content}
  </div>`;
}

function head(run: Run, step: Step): TemplateResult {
  const { started_at: at } = step;
  const started = at === null ? [] : [html`started ${time(at)}`];
  return html`<div class="jp-PDFlow-step-head">
    <span class="jp-PDFlow-step-name">${step.name}</span> ${stepState(run, step, started)}
  </div>`;
}

/** Return the status of a step, how long it took, and further facts. */
export function stepState(run: Run, step: Step, further: readonly unknown[] = []): TemplateResult {
  const again = step.runs > 1 ? [`executed ${formatCount(step.runs, 'time')}`] : [];
  const facts = [spent(step), ...again, ...further].filter(fact => fact !== nothing);
  return html`${badge(stepBadge(run, step))}
    <span class="jp-PDFlow-step-facts">${facts.map(fact => html`<span>${fact}</span>`)}</span>`;
}

/** Return how long a step took, or is running. */
function spent({ status, started_at: from, ended_at: to }: Step): unknown {
  if (from !== null && to !== null) {
    return duration(elapsedMs(from, to));
  }
  return from !== null && status === 'running' ? countUp(from) : nothing;
}

function stepBadge(run: Run, { name, status }: Step): BadgeStatus {
  return status === 'paused' && run.pause?.step === name && isWaiting(run) ? 'waiting' : status;
}
