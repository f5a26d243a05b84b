import { makeBadge, setBadge } from './badge';
import { copyButton } from './copy-button';
import { button, el, setText, setVisible } from './dom';
import { deadlineLabel, hasEnded, pauseLabel, runBadge } from './formatting';
import type { Host } from './host';
import { startCountdown, startCountUp, stopCounting } from './ticker';
import { duration } from './times';
import type { Pause, Run } from './types';
import { timeNode } from './view-parts';

/** The header of a run: its workflow, status, times and usage. */
export class RunHeader {
  readonly node: HTMLElement;
  private readonly title = el('h3', { class: 'title', tabindex: -1 });
  private readonly badge = makeBadge('queued');
  private readonly facts = el('dl', { class: 'facts' });
  private readonly reason = el('p', { class: 'reason', hidden: true });
  private readonly paused = el('span', {});
  private shownFacts = '';

  /**
   * @param id - the run's id
   * @param host - opens executed notebooks
   */
  constructor(id: string, host: Host) {
    const tools = el(
      'div',
      { class: 'tools' },
      el('code', { class: 'id' }, id),
      copyButton(() => id, 'Copy the id of the run'),
      host.openNotebook &&
        button('Open as notebook', () => host.openNotebook?.(id), { class: 'button small' })
    );
    this.node = el(
      'header',
      { class: 'run-head' },
      el('div', { class: 'title-row' }, this.title, this.badge),
      tools,
      this.facts,
      this.reason
    );
  }

  /** Show the run. */
  update(run: Run): void {
    setText(this.title, run.workflow_name);
    setBadge(this.badge, runBadge(run));
    const { usage } = run;
    const facts = [run.status, run.created_at, run.updated_at, usage].map(x => JSON.stringify(x));
    if (facts.join() !== this.shownFacts) {
      this.shownFacts = facts.join();
      this.facts.replaceChildren(
        fact('Started', timeNode(run.created_at)),
        fact(hasEnded(run) ? 'Ended' : 'Last change', timeNode(run.updated_at)),
        fact('Credits', usage.credits.toLocaleString()),
        fact('Compute', duration(usage.compute_ms)),
        fact('Paused', this.paused),
        fact('Version', el('code', {}, run.version.slice(0, 12)))
      );
    }
    this.updatePaused(run);
    const hasReason = run.reason !== null && run.reason !== '';
    setText(this.reason, hasReason ? `Reason: ${run.reason ?? ''}` : '');
    setVisible(this.reason, hasReason);
  }

  /** Stop the counters. */
  dispose(): void {
    stopCounting(this.paused);
  }

  /** Focus the title. */
  focus(): void {
    this.title.focus({ preventScroll: true });
  }

  /** Show the time paused, with the current pause until now. */
  private updatePaused({ pause, updated_at, usage }: Run): void {
    if (pause === null) {
      stopCounting(this.paused);
      setText(this.paused, duration(usage.paused_ms));
    } else {
      startCountUp(this.paused, new Date(Date.parse(updated_at) - usage.paused_ms).toISOString());
    }
  }
}

function fact(name: string, value: Node | string): HTMLElement {
  return el('div', {}, el('dt', {}, name), el('dd', {}, value));
}

/** The pause of a run: its reason, deadline and links. */
export class PauseBox {
  readonly node: HTMLElement;
  private readonly label = el('span', {});
  private readonly until = el('span', { class: 'until' });
  private readonly count = el('span', { class: 'countdown', role: 'timer' });
  private readonly at = el('span', { class: 'at' });
  private readonly links: HTMLElement;
  private pause: Pause | null = null;

  constructor() {
    const link = (name: string, key: 'cancel_url' | 'resume_url'): HTMLElement =>
      el(
        'span',
        { class: 'link-row' },
        `${name} link`,
        copyButton(() => this.pause?.[key] ?? '', `Copy the ${name.toLowerCase()} link`)
      );
    this.links = el(
      'p',
      { class: 'links' },
      link('Resume', 'resume_url'),
      link('Cancel', 'cancel_url')
    );
    this.node = el(
      'div',
      { class: 'pause', hidden: true },
      el('p', { class: 'pause-label' }, this.label),
      el('p', { class: 'pause-time' }, this.until, this.count, this.at),
      this.links
    );
  }

  /** Show a pause, or nothing for null. */
  update(pause: Pause | null): void {
    setVisible(this.node, pause !== null);
    const previous = this.pause;
    this.pause = pause;
    if (pause === null) {
      stopCounting(this.count);
      return;
    }
    this.node.dataset.kind = pause.kind;
    setVisible(this.links, pause.resume_url !== null && pause.cancel_url !== null);
    setText(this.label, `Step ${pause.step} ${pauseLabel(pause.kind)}`);
    setText(this.until, `${deadlineLabel(pause.kind)} `);
    if (previous?.deadline !== pause.deadline) {
      startCountdown(this.count, pause.deadline);
      this.at.replaceChildren(' (', timeNode(pause.deadline), ')');
    }
  }

  /** Stop the counters. */
  dispose(): void {
    stopCounting(this.count);
  }
}
