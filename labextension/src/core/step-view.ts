import { makeBadge, setBadge } from './badge';
import { el, setText, show } from './dom';
import type { Host } from './host';
import { errorSlot, outputsSlot, timeNode, treeSlot } from './section';
import { countUp, stopCounting, stopCountingIn } from './ticker';
import { between, duration } from './times';
import type { Output, Run, Step } from './types';
import { counted, isWaiting } from './words';

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
  private readonly exports = treeSlot();
  private readonly outputs;
  private readonly outputsHead = el('h4', { hidden: true }, 'Outputs');
  private readonly exportsHead = el('h4', { hidden: true }, 'Exports');
  private beganAt: string | null = null;

  /**
   * @param name - the step's name
   * @param host - what draws outputs
   * @param tag - the element that it is in its parent
   */
  constructor(name: string, host: Host, tag: 'div' | 'li' = 'li') {
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

  /** Draw the time of the step as a part of the time of the run. */
  private updateBar(step: Step, run: Run): void {
    show(this.track, step.started_at !== null);
    if (step.started_at === null) {
      return;
    }
    const ended = run.steps.map(each => each.ended_at ?? '').concat(run.updated_at);
    const last = ended.reduce((one, other) => (one > other ? one : other));
    const whole = Math.max(1, between(run.created_at, last));
    const start = Math.min(1, between(run.created_at, step.started_at) / whole);
    const length = between(step.started_at, step.ended_at ?? last) / whole;
    this.bar.style.marginInlineStart = `${start * 98}%`;
    this.bar.style.inlineSize = `${Math.max(2, Math.min(1 - start, length) * 98)}%`;
  }
}
