/** The head of a run's page: what run it is, how it went, and what one can do with it. */
import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { badge } from '../badge';
import { copyButton } from '../copy-button';
import { hasEnded, runBadge, stripAnsi } from '../formatting';
import type { Host } from '../host';
import { button, countUp, time } from '../parts';
import { duration, elapsedMs } from '../times';
import type { Run } from '../types';

const STARTED_VIA: Record<string, string> = {
  jupyter: 'from JupyterLab',
  api: 'by the API',
  cli: 'from the command line'
};

/** The properties of {@link runHead}. */
export interface HeadProps {
  host: Host;
  run: Run;
  /** Shows how to run it again. */
  onAgain: () => void;
}

/** Return the head: title, status, workflow, version and times. */
export function runHead({ host, run, onAgain }: HeadProps): TemplateResult {
  return html`<header class="jp-PDFlow-run-head">
    <div class="jp-PDFlow-title-row">
      <h3 class="jp-PDFlow-title" tabindex="-1">${run.title ?? run.workflow_name}</h3>
      ${badge(runBadge(run))}
    </div>
    <p class="jp-PDFlow-subtitle">${summary(run)}</p>
    <div class="jp-PDFlow-tools">
      ${hasEnded(run) ? button('Run again…', onAgain, 'button small') : nothing}
      ${
        host.openNotebook
          ? button('Open as notebook', () => host.openNotebook?.(run.id), 'button small')
          : nothing
      }
    </div>
    ${reason(run)}
  </header>`;
}

/** Return why a run was canceled, unless that is the note of a rejection, which is shown with it. */
function reason({ reason: text, decisions }: Run): unknown {
  const isNote = decisions.at(-1)?.by.some(({ note }) => note === text);
  return text && isNote !== true ? html`<p class="jp-PDFlow-reason">Reason: ${text}</p>` : nothing;
}

/** Return the workflow, its version, the start and the duration. */
function summary(run: Run): unknown {
  const parts = [
    run.title === null ? nothing : html`<span>${run.workflow_name}</span>`,
    version(run),
    html`<span>started ${time(run.created_at)}${starter(run)}</span>`,
    html`<span>${length(run)}</span>`
  ].filter(part => part !== nothing);
  return parts;
}

function version({ version, version_number: number }: Run): TemplateResult {
  return number
    ? html`<span title="Version ${version}">${`v${number}`}</span>`
    : html`<span title="Version ${version}">version ${version.slice(0, 7)}</span>`;
}

function starter({ started_by: who }: Run): string {
  const way = who === null ? '' : (STARTED_VIA[who.via] ?? '');
  return who?.name ? ` by ${who.name}` : way && ` ${way}`;
}

function length(run: Run): TemplateResult {
  if (!hasEnded(run)) {
    return html`for ${countUp(run.created_at)}`;
  }
  return html`took ${duration(elapsedMs(run.created_at, run.ended_at ?? run.updated_at))}`;
}

/** Return what is known about a run and rarely needed: usage, ids and times. */
export function runMore(run: Run): TemplateResult {
  const { usage } = run;
  return html`<details class="jp-PDFlow-run-more">
    <summary>More</summary>
    <dl class="jp-PDFlow-facts">
      ${fact('Credits', usage.credits.toLocaleString())}
      ${fact('Compute', duration(usage.compute_ms))} ${fact('Paused', paused(run))}
      ${fact(hasEnded(run) ? 'Ended' : 'Last change', time(run.ended_at ?? run.updated_at))}
      ${fact('Version', html`<code>${run.version.slice(0, 12)}</code>`)}
      ${run.replay_of === null ? nothing : fact('Repeats', html`<code>${run.replay_of}</code>`)}
      ${fact(
        'Run',
        html`<code class="jp-PDFlow-id">${run.id}</code> ${copyButton({
            text: () => run.id,
            name: 'Copy the id of the run'
          })}`
      )}
    </dl>
  </details>`;
}

/** Return the time paused, with the current pause until now. */
function paused({ pause, usage }: Run): unknown {
  if (pause === null) {
    return duration(usage.paused_ms);
  }
  return countUp(new Date(Date.parse(pause.since) - usage.paused_ms).toISOString());
}

function fact(name: string, value: unknown): TemplateResult {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;
}

/** Return the step at which a run has failed and why, with the way to its cell. */
export function failedStep(host: Host, run: Run): unknown {
  const failed = run.steps.find(({ error }) => error !== null);
  const error = run.error ?? failed?.error;
  if (run.status !== 'failed' || !error) {
    return nothing;
  }
  const step = failed?.name ?? error.step;
  const where = step ? html`<strong>Step ${step} failed.</strong> ` : nothing;
  return html`<div class="jp-PDFlow-failed">
    <p>${where}${stripAnsi(error.message)}</p>
    ${
      host.openCell && step
        ? button('Go to cell', () => host.openCell?.(run.workflow_id, step), 'button primary')
        : nothing
    }
  </div>`;
}
