import { makeBadge, setBadge } from './badge';
import { decisionsView } from './decisions';
import { el, setText, setVisible } from './dom';
import { formatCount, hasEnded, isWaiting } from './formatting';
import type { Host } from './host';
import type { ResolveLink } from './json-tree';
import { everySecond, startCountUp, stopCounting, stopCountingIn } from './ticker';
import { duration, elapsedMs } from './times';
import type { Output, Run, Step } from './types';
import { errorView, outputsView, timeNode, treeView } from './view-parts';

/** Width of the shortest bar, as a percentage. */
const MIN_BAR_PERCENT = 2;

/** One step of a run: its status, duration, decisions, error, exports and outputs. */
export class StepView {
  readonly node: HTMLElement;
  private readonly badge = makeBadge('pending');
  private readonly reruns = el('span', { class: 'reruns' });
  private readonly started = el('span', { class: 'step-started' });
  private readonly duration = el('span', { class: 'step-duration' });
  private readonly bar = el('span', { class: 'bar' });
  private readonly track = el('span', { class: 'track', 'aria-hidden': 'true' }, this.bar);
  private readonly decisions = decisionsView();
  private readonly error = errorView();
  private readonly exports;
  private readonly outputs;
  private readonly outputsHead = el('h4', { hidden: true }, 'Outputs');
  private readonly exportsHead = el('h4', { hidden: true }, 'Exports');
  private shownStart: string | null = null;

  /**
   * @param name - the step's name
   * @param host - renders outputs
   * @param tag - the name of the view's element
   * @param resolveLink - returns the URLs of exported strings that are links
   */
  constructor(name: string, host: Host, tag: 'div' | 'li' = 'li', resolveLink?: ResolveLink) {
    this.exports = treeView(resolveLink);
    this.outputs = outputsView(host);
    this.node = el(
      tag,
      { class: 'step' },
      el(
        'div',
        { class: 'step-head' },
        el('span', { class: 'step-name' }, name),
        this.badge,
        el('span', { class: 'step-facts' }, this.duration, this.reruns, this.started)
      ),
      this.track,
      this.decisions.node,
      this.error.node,
      this.exportsHead,
      this.exports.node,
      this.outputsHead,
      this.outputs.node
    );
  }

  /** Show the step's state. */
  update(step: Step, run: Run): void {
    const isWaitingHere =
      isWaiting(run) && run.pause?.step === step.name && step.status === 'paused';
    setBadge(this.badge, isWaitingHere ? 'waiting' : step.status);
    this.node.dataset.status = step.status;
    setText(this.reruns, step.runs > 1 ? `executed ${formatCount(step.runs, 'time')}` : '');
    this.updateStarted(step);
    this.updateDuration(step);
    this.updateBar(step, run);
    const decisions = run.decisions.filter(decision => decision.step === step.name);
    this.decisions.update(decisions.length > 0 ? decisions : null);
    this.error.update(step.error);
    const hasExports = Object.keys(step.exports).length > 0;
    setVisible(this.exportsHead, hasExports);
    this.exports.update(hasExports ? step.exports : null);
  }

  /** Show the step's outputs. */
  updateOutputs(outputs: Output[]): void {
    setVisible(this.outputsHead, outputs.length > 0);
    this.outputs.update(outputs.length > 0 ? outputs : null);
  }

  /** Stop the counters. */
  dispose(): void {
    stopCountingIn(this.node);
  }

  private updateStarted(step: Step): void {
    if (step.started_at !== this.shownStart) {
      this.shownStart = step.started_at;
      this.started.replaceChildren(
        ...(step.started_at === null ? [] : ['started ', timeNode(step.started_at)])
      );
    }
  }

  private updateDuration(step: Step): void {
    const { started_at: from, ended_at: to } = step;
    if (from !== null && to === null && step.status === 'running') {
      startCountUp(this.duration, from);
      return;
    }
    stopCounting(this.duration);
    setText(this.duration, from !== null && to !== null ? duration(elapsedMs(from, to)) : '');
  }

  /** Draw the step's time as a part of the run's time, which grows until the run ends. */
  private updateBar(step: Step, run: Run): void {
    const from = step.started_at;
    setVisible(this.track, from !== null);
    if (from === null) {
      return;
    }
    const draw = (): void => {
      const { start, length } = barSpan(run, from, step.ended_at);
      this.bar.style.marginInlineStart = `${start * (100 - MIN_BAR_PERCENT)}%`;
      this.bar.style.inlineSize = `${MIN_BAR_PERCENT + length * (100 - MIN_BAR_PERCENT)}%`;
    };
    if (hasEnded(run)) {
      stopCounting(this.bar);
      draw();
    } else {
      everySecond(this.bar, draw);
    }
  }
}

/** Return a time span as fractions of the span from the first step's start to the run's end. */
function barSpan(run: Run, from: string, to: string | null): { start: number; length: number } {
  const first = run.steps.reduce((least, { started_at: at }) => earlier(least, at), from);
  const last = hasEnded(run) ? run.updated_at : null;
  const whole = Math.max(1, elapsedMs(first, last));
  const start = Math.min(1, elapsedMs(first, from) / whole);
  return { start, length: Math.min(1 - start, elapsedMs(from, to ?? last) / whole) };
}

function earlier(one: string, other: string | null): string {
  return other !== null && other < one ? other : one;
}
