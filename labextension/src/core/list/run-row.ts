import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { live } from 'lit/directives/live.js';
import { badge } from '../badge';
import {
  badgeLabel,
  currentStep,
  deadlineLabel,
  hasEnded,
  runBadge,
  stripAnsi
} from '../formatting';
import { tick } from '../parts';
import { duration, elapsedMs, fullTime, remaining } from '../times';
import type { Pause, RunItem } from '../types';
import { ago } from './ago';

const HOUR = 3_600_000;

/** How a run is shown in the list. */
export interface RowProps {
  run: RunItem;
  isSelected: boolean;
  /** Whether it is the row that the Tab key reaches. */
  isCurrent: boolean;
  /** Whether it was opened last. */
  isOpened: boolean;
  /** Whether the row names the workflow, because others are listed beside it. */
  hasWorkflow: boolean;
}

/** Return the row of a run. The list handles its events. */
export function runRow(props: RowProps): TemplateResult {
  const { run, isSelected, isOpened } = props;
  return html`<li
    class="jp-PDFlow-row"
    data-run=${run.id}
    data-status=${runBadge(run)}
    ?data-selected=${isSelected}
    ?data-opened=${isOpened}
  >
    ${checkbox(props)} ${opener(props)}
  </li>`;
}

function checkbox({ run, isSelected }: RowProps): TemplateResult {
  const name = run.title === null ? run.workflow_name : `${run.title}, ${run.workflow_name}`;
  return html`<label class="jp-PDFlow-row-check"
    ><input
      type="checkbox"
      tabindex="-1"
      aria-label="Select ${name}, run ${run.id}"
      ?disabled=${hasEnded(run)}
      .checked=${live(isSelected)}
  /></label>`;
}

function opener({ run, isCurrent, isOpened, hasWorkflow }: RowProps): TemplateResult {
  const name = run.title ?? run.workflow_name;
  const about = aboutText(run, hasWorkflow && run.title !== null);
  const status = runBadge(run);
  return html`<button
    type="button"
    class="jp-PDFlow-row-open"
    tabindex=${isCurrent ? '0' : '-1'}
    aria-current=${isOpened ? 'true' : nothing}
  >
    <span class="jp-PDFlow-row-line">
      <span class="jp-PDFlow-row-badge" title=${badgeLabel(status)}>${badge(status)}</span>
      <span class="jp-PDFlow-row-title" title=${name}>${name}</span>
      <time
        class="jp-PDFlow-row-start"
        datetime=${run.created_at}
        title="Started ${fullTime(run.created_at)}"
        ${tick(() => ago(run.created_at))}
      ></time>
    </span>
    <span class="jp-PDFlow-row-line">
      <span
        class="jp-PDFlow-row-about"
        title="${about}
Run ${run.id}"
        >${about}</span
      >
      ${took(run)}
    </span>
    ${problem(run)}
  </button>`;
}

function aboutText(run: RunItem, hasWorkflow: boolean): string {
  const step = currentStep(run);
  const parts = [hasWorkflow && run.workflow_name, step !== '' && step];
  return parts.filter(Boolean).join(' · ');
}

/** Return the time that is left, or how long the run takes or took. */
function took(run: RunItem): TemplateResult {
  const { pause, created_at: start } = run;
  if (pause !== null) {
    const label = `${deadlineLabel(pause.kind)} …: ${fullTime(pause.deadline)}`;
    return timed('countdown', label, () => leftText(pause));
  }
  if (!hasEnded(run)) {
    const whole = (): number => Math.floor(elapsedMs(start, null) / 1000) * 1000;
    return timed('row-took', 'Time since the start', () => duration(whole()));
  }
  const end = run.ended_at ?? run.updated_at;
  const text = duration(elapsedMs(start, end));
  const label = `Took ${text}, ended ${fullTime(end)}`;
  return html`<span class="jp-PDFlow-row-time jp-PDFlow-row-took" title=${label}>${text}</span>`;
}

function timed(name: string, label: string, text: () => string): TemplateResult {
  return html`<span
    class="jp-PDFlow-row-time jp-PDFlow-${name}"
    title=${label}
    ${tick(text)}
  ></span>`;
}

/** Return the time that is left of a pause: in whole hours or days, if it is long. */
function leftText({ kind, deadline }: Pause): string {
  const left = Date.parse(deadline) - Date.now();
  if (left <= 0) {
    return 'due now';
  }
  const text = left < HOUR ? remaining(left) : remaining(left).split(' ', 2).join(' ');
  return kind === 'suspend' ? `${text} left` : `in ${text}`;
}

/** Return the first line of a run's error, or the reason why it was canceled. */
function problem({ error, reason }: RunItem): unknown {
  const message = error === null ? (reason ?? '') : stripAnsi(error.message);
  const [line] = message.split('\n', 1);
  return line === ''
    ? nothing
    : html`<span class="jp-PDFlow-row-error" title=${message}>${line}</span>`;
}
