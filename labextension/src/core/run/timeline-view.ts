import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { badge } from '../badge';
import { Component } from '../component';
import type { BadgeStatus } from '../formatting';
import { formatCount, hasEnded, isWaiting } from '../formatting';
import type { Host } from '../host';
import { everyVisibleSecond, stopCounting } from '../ticker';
import { duration } from '../times';
import type { HistoryEntry, Run } from '../types';
import type { TimeCut, TimeScale } from './time-scale';
import { timeScale } from './time-scale';
import type { Bar, TimelineRow } from './timeline';
import { timelineRows } from './timeline';

const DAY_MS = 86_400_000;
/** Labels that are nearer to each other than this have seconds. */
const SECONDS_MS = 120_000;

type Precision = 'fractions' | 'minutes' | 'seconds';

/** The properties of {@link timelineView}. */
export interface TimelineProps {
  host: Host;
  run: Run;
  history: readonly HistoryEntry[];
  /** The step that is selected, or null for all. */
  selected: string | null;
  onSelect: (step: string | null) => void;
}

class TimelineView extends Component<TimelineProps> {
  private readonly root = createRef<HTMLElement>();

  protected override start(): void {
    queueMicrotask(() => this.count());
  }

  protected override propsChanged(): void {
    this.count();
  }

  protected override stop(): void {
    if (this.root.value) {
      stopCounting(this.root.value);
    }
  }

  protected template(): unknown {
    const { run, history } = this.props;
    const now = Date.now();
    const rows = timelineRows(run, history);
    const scale = timeScale(rows, now);
    return html`<div class="jp-PDFlow-timeline" ${ref(this.root)}>
      <ol role="list" aria-label="Steps">
        ${rows.map(row => this.row(row, scale, now))}
      </ol>
      ${scale === null ? nothing : axis(scale, now)}
    </div>`;
  }

  private row(row: TimelineRow, scale: TimeScale | null, now: number): TemplateResult {
    const { run, selected, onSelect } = this.props;
    const { step, bars } = row;
    const isSelected = selected === step;
    const worked = bars.filter(({ kind }) => kind === 'computing');
    const ms = worked.reduce((total, { from, to }) => total + Math.max(0, (to ?? now) - from), 0);
    return html`<li class="jp-PDFlow-lane" ?data-selected=${isSelected}>
      <button
        type="button"
        class="jp-PDFlow-lane-step"
        aria-pressed=${isSelected}
        @click=${() => onSelect(isSelected ? null : step)}
      >
        <span class="jp-PDFlow-step-name">${step}</span>${badge(statusOf(run, step))}
      </button>
      <div class="jp-PDFlow-lane-bars" role="group" aria-label="Times of ${step}" @keydown=${onKey}>
        ${scale?.breaks.filter(cut => isWaitingIn(cut, bars, scale)).map(gap)}
        ${scale && bars.map((bar, at) => barView(bar, { step, scale, now, isFirst: at === 0 }))}
      </div>
      <span class="jp-PDFlow-lane-time"
        >${worked.length === 0 ? nothing : duration(round(ms))}</span
      >
      ${this.toCell(step)}
    </li>`;
  }

  private toCell(step: string): unknown {
    const { host, run } = this.props;
    return host.openCell === undefined
      ? nothing
      : html`<button
          type="button"
          class="jp-PDFlow-link jp-PDFlow-to-cell"
          aria-label="Go to the cell of ${step}"
          @click=${() => host.openCell?.(run.workflow_id, step)}
        >
          Go to cell
        </button>`;
  }

  /** Let bars grow while they last. */
  private count(): void {
    const node = this.root.value;
    if (node === undefined) {
      return;
    }
    if (hasEnded(this.props.run)) {
      stopCounting(node);
    } else {
      everyVisibleSecond(node, this.requestUpdate);
    }
  }
}

/** The steps of a run on one time axis: when they were computing, and when they waited. */
export const timelineView = directive(TimelineView);

function statusOf(run: Run, name: string): BadgeStatus {
  const status = run.steps.find(step => step.name === name)?.status ?? 'pending';
  const isAsking = isWaiting(run) && run.pause?.step === name && status === 'paused';
  return isAsking ? 'waiting' : status;
}

interface BarContext {
  step: string;
  scale: TimeScale;
  now: number;
  isFirst: boolean;
}

function barView(bar: Bar, { step, scale, now, isFirst }: BarContext): TemplateResult {
  const from = scale.place(bar.from);
  const to = scale.place(bar.to ?? now);
  return html`<span
    class="jp-PDFlow-bar"
    role="img"
    tabindex=${isFirst ? 0 : -1}
    data-kind=${bar.kind}
    data-problem=${bar.problem ?? nothing}
    ?data-open=${bar.to === null}
    ?data-late=${from > 0.5}
    aria-label=${barLabel(bar, step, now)}
    style="inset-inline-start: ${percent(from)}; inline-size: ${percent(to - from)}"
  ></span>`;
}

/** Return whether a bar lies where time is left out. */
function isWaitingIn(cut: TimeCut, bars: readonly Bar[], { place }: TimeScale): boolean {
  const middle = (cut.from + cut.to) / 2;
  return bars.some(({ from, to }) => place(from) < middle && (to === null || place(to) > middle));
}

function gap({ from, to }: TimeCut): TemplateResult {
  const middle = percent((from + to) / 2);
  return html`<span
    class="jp-PDFlow-gap"
    aria-hidden="true"
    style="inset-inline-start: ${middle}"
  ></span>`;
}

/** Return what a bar says: `ask, attempt 2: computing 3.2 s, from 14:02:11 to 14:02:14`. */
function barLabel(bar: Bar, step: string, now: number): string {
  const { kind, execution, attempt, problem } = bar;
  const numbers = [
    execution > 1 && `execution ${execution}`,
    attempt > 1 && `attempt ${attempt}`
  ].filter(Boolean);
  const of = [step, ...numbers].join(', ');
  const length = duration(round(Math.max(0, (bar.to ?? now) - bar.from)));
  const from = clock(bar.from, 'seconds', now);
  const until =
    bar.to === null ? `since ${from}` : `from ${from} to ${clock(bar.to, 'seconds', bar.from)}`;
  return `${of}: ${kind} ${length}, ${until}${problem === null ? '' : `, ${problem}`}`;
}

function axis({ ticks, breaks }: TimeScale, now: number): TemplateResult {
  const nearest = Math.min(...ticks.slice(1).map(({ time }, at) => time - ticks[at].time));
  const precision = nearest < 1000 ? 'fractions' : nearest < SECONDS_MS ? 'seconds' : 'minutes';
  const labels = ticks.map(({ at, time }, number) => {
    const before = number === 0 ? now : ticks[number - 1].time;
    return html`<span
      class="jp-PDFlow-axis-tick"
      ?data-inner=${at > 0 && at < 1}
      style="inset-inline-start: ${percent(at)}; --at: ${at}"
      >${clock(time, precision, before)}</span
    >`;
  });
  const note =
    breaks.length === 0
      ? nothing
      : html`<span class="jp-PDFlow-axis-note"
          >${formatCount(breaks.length, 'long wait')} shortened</span
        >`;
  return html`<div class="jp-PDFlow-axis" aria-hidden="true">
    <div class="jp-PDFlow-axis-ticks">${labels}${breaks.map(gap)}</div>
    ${note}
  </div>`;
}

/** Return an instant, with its day if that differs from another instant's. */
function clock(time: number, precision: Precision, other: number): string {
  const at = new Date(time);
  const options: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit' };
  if (precision !== 'minutes') {
    options.second = '2-digit';
  }
  if (precision === 'fractions') {
    options.fractionalSecondDigits = 2;
  }
  if (at.toDateString() !== new Date(other).toDateString()) {
    Object.assign(options, { day: 'numeric', month: 'short' });
  }
  if (Math.abs(time - other) > 300 * DAY_MS) {
    options.year = 'numeric';
  }
  return new Intl.DateTimeFormat(undefined, options).format(at);
}

/** Return milliseconds without fractions of seconds if they are many. */
function round(ms: number): number {
  return ms < 10_000 ? ms : Math.round(ms / 1000) * 1000;
}

function percent(fraction: number): string {
  return `${Number((fraction * 100).toFixed(3))}%`;
}

/** Move the focus between the bars of a step. */
function onKey(event: KeyboardEvent): void {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const bars = [...(event.currentTarget as Element).querySelectorAll<HTMLElement>('[role=img]')];
  const next = bars.at(bars.indexOf(event.target as HTMLElement) + (by ?? 0));
  if (by !== undefined && next !== undefined) {
    event.preventDefault();
    next.focus();
  }
}
