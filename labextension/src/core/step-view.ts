import { makeBadge, setBadge } from './badge';
import { el, setText, show } from './dom';
import type { Host } from './host';
import type { LinkOf } from './json-tree';
import { errorSlot, outputsSlot, timeNode, treeSlot } from './view-parts';
import { countUp, everySecond, stopCounting, stopCountingIn } from './ticker';
import { between, duration } from './times';
import type { Output, Run, Step } from './types';
import { counted, hasEnded, isWaiting } from './formatting';

/** The width of the shortest bar, in per cent. */
const LEAST = 2;

/** One step of a run: where it stands, how long it took, its error, exports and outputs. */
export class StepView {
  readonly node: HTMLElement;
  private readonly badge = makeBadge('pending');
  private readonly reruns = el('span', { class: 'reruns' });
  private readonly began = el('span', { class: 'began' });
  private readonly took = el('span', { class: 'took' });
  private readonly bar = el('span', { class: 'bar' });
  private readonly track = el('span', { class: 'track', 'aria-hidden': 'true' }, this.bar);
  private readonly error = errorSlot();
  private readonly exports;
  private readonly outputs;
  private readonly outputsHead = el('h4', { hidden: true }, 'Outputs');
  private readonly exportsHead = el('h4', { hidden: true }, 'Exports');
  private beganAt: string | null = null;

  /**
   * @param name - the step's name
   * @param host - what draws outputs
   * @param tag - the element that it is in its parent
   * @param linkOf - which texts of its exports are links
   */
  constructor(name: string, host: Host, tag: 'div' | 'li' = 'li', linkOf?: LinkOf) {
    this.exports = treeSlot(linkOf);
    this.outputs = outputsSlot(host);
    this.node = el(
      tag,
      { class: 'step' },
      el(
        'div',
        { class: 'step-head' },
        el('span', { class: 'step-name' }, name),
        this.badge,
        el('span', { class: 'step-facts' }, this.took, this.reruns, this.began)
      ),
      this.track,
      this.error.node,
      this.exportsHead,
      this.exports.node,
      this.outputsHead,
      this.outputs.node
    );
  }

  /** Show where the step stands. */
  update(step: Step, run: Run): void {
    const waits = isWaiting(run) && run.pause?.step === step.name && step.status === 'paused';
    setBadge(this.badge, waits ? 'waiting' : step.status);
    this.node.dataset.status = step.status;
    setText(this.reruns, step.runs > 1 ? `executed ${counted(step.runs, 'time')}` : '');
    this.updateBegan(step);
    this.updateTook(step);
    this.updateBar(step, run);
    this.error.update(step.error);
    const some = Object.keys(step.exports).length > 0;
    show(this.exportsHead, some);
    this.exports.update(some ? step.exports : null);
  }

  /** Show what the step has put out. */
  updateOutputs(outputs: Output[]): void {
    show(this.outputsHead, outputs.length > 0);
    this.outputs.update(outputs.length > 0 ? outputs : null);
  }

  /** Stop what counts. */
  dispose(): void {
    stopCountingIn(this.node);
  }

  private updateBegan(step: Step): void {
    if (step.started_at !== this.beganAt) {
      this.beganAt = step.started_at;
      this.began.replaceChildren(
        ...(step.started_at === null ? [] : ['started ', timeNode(step.started_at)])
      );
    }
  }

  private updateTook(step: Step): void {
    const { started_at: from, ended_at: to } = step;
    if (from !== null && to === null && step.status === 'running') {
      countUp(this.took, from);
      return;
    }
    stopCounting(this.took);
    setText(this.took, from !== null && to !== null ? duration(between(from, to)) : '');
  }

  /** Draw the time of the step as a part of the time of the run, which grows until it ends. */
  private updateBar(step: Step, run: Run): void {
    const from = step.started_at;
    show(this.track, from !== null);
    if (from === null) {
      return;
    }
    const draw = (): void => {
      const { start, length } = partOf(run, from, step.ended_at);
      this.bar.style.marginInlineStart = `${start * (100 - LEAST)}%`;
      this.bar.style.inlineSize = `${LEAST + length * (100 - LEAST)}%`;
    };
    if (hasEnded(run)) {
      stopCounting(this.bar);
      draw();
    } else {
      everySecond(this.bar, draw);
    }
  }
}

/** Where a span of time lies between the first step's start and the end of a run, or now. */
function partOf(run: Run, from: string, to: string | null): { start: number; length: number } {
  const first = run.steps.reduce((least, { started_at: at }) => earlier(least, at), from);
  const last = hasEnded(run) ? run.updated_at : null;
  const whole = Math.max(1, between(first, last));
  const start = Math.min(1, between(first, from) / whole);
  return { start, length: Math.min(1 - start, between(from, to ?? last) / whole) };
}

function earlier(one: string, other: string | null): string {
  return other !== null && other < one ? other : one;
}
