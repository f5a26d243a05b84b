import { makeBadge, setBadge } from './badge';
import { copyButton } from './copy-button';
import { button, el, setText, setVisible } from './dom';
import { hasEnded, runBadge } from './formatting';
import type { Host } from './host';
import { startCountUp, stopCounting } from './ticker';
import { duration } from './times';
import type { Run } from './types';
import { timeNode } from './view-parts';

/** The header of a run: its workflow, title, status, times and usage. */
export class RunHeader {
  readonly node: HTMLElement;
  private readonly title = el('h3', { class: 'title', tabindex: -1 });
  private readonly subtitle = el('p', { class: 'subtitle', hidden: true });
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
      this.subtitle,
      tools,
      this.facts,
      this.reason
    );
  }

  /** Show the run. */
  update(run: Run): void {
    setText(this.title, run.workflow_name);
    setText(this.subtitle, run.title ?? '');
    setVisible(this.subtitle, run.title !== null);
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
  private updatePaused({ pause, usage }: Run): void {
    if (pause === null) {
      stopCounting(this.paused);
      setText(this.paused, duration(usage.paused_ms));
    } else {
      startCountUp(this.paused, new Date(Date.parse(pause.since) - usage.paused_ms).toISOString());
    }
  }
}

function fact(name: string, value: Node | string): HTMLElement {
  return el('div', {}, el('dt', {}, name), el('dd', {}, value));
}
