import { copyButton } from './copy-button';
import { approvalNodes, askedText, asks, listNames, timeoutText } from './decisions';
import { cls, el, setText, setVisible } from './dom';
import { deadlineLabel, pauseLabel } from './formatting';
import { startCountdown, stopCounting } from './ticker';
import type { Pause } from './types';
import { timeNode, ValueView } from './view-parts';

/** The pause of a run: what is asked and of whom, its deadline and its links. */
export class PauseBox {
  readonly node: HTMLElement;
  private readonly message = messageView();
  private readonly label = el('p', { class: 'pause-label' });
  private readonly people = peopleView();
  private readonly until = el('span', { class: 'until' });
  private readonly count = el('span', { class: 'countdown', role: 'timer' });
  private readonly at = el('span', { class: 'at' });
  private readonly then = el('span', {});
  private readonly rejection = el('p', { class: 'rejection' });
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
      this.message.node,
      this.label,
      this.people.node,
      el('p', { class: 'pause-time' }, this.until, this.count, this.at, this.then),
      this.rejection,
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
    this.updateQuestion(pause);
    setText(this.until, `${deadlineLabel(pause.kind)} `);
    setText(this.then, pause.kind === 'suspend' ? `; ${timeoutText(pause)}.` : '');
    if (previous?.deadline !== pause.deadline) {
      startCountdown(this.count, pause.deadline);
      this.at.replaceChildren(' (', timeNode(pause.deadline), ')');
    }
  }

  /** Stop the counters. */
  dispose(): void {
    stopCounting(this.count);
  }

  private updateQuestion(pause: Pause): void {
    const { message_html, approvers, resume_url, cancel_url } = pause;
    this.message.update(message_html);
    const isQuestion = asks(pause);
    const label = isQuestion ? askedText(pause) : `Step ${pause.step} ${pauseLabel(pause.kind)}`;
    setText(this.label, label);
    this.label.classList.toggle(cls('quiet'), message_html !== null);
    this.people.update(isQuestion ? pause : null);
    setVisible(this.rejection, isQuestion);
    setText(
      this.rejection,
      pause.on_reject === 'cancel'
        ? 'A rejection ends the run.'
        : 'After a rejection the run continues.'
    );
    // The links of a pause with approvers decide nothing.
    const hasLinks = resume_url !== null && cancel_url !== null && approvers.length === 0;
    setVisible(this.links, hasLinks);
  }
}

/** Return a view of a message, which the server has made from Markdown. */
export function messageView(): ValueView<string> {
  return new ValueView((html, node) => {
    node.classList.add(cls('message'));
    // The server lets no raw HTML into `message_html`. Nothing else may be set in this way.
    node.innerHTML = html;
    // Else a link would replace JupyterLab.
    node.querySelectorAll('a').forEach(link => (link.target = '_blank'));
  });
}

/** Return a view of the approvals, of those who have not answered, and of emails that fail. */
function peopleView(): ValueView<Pause> {
  return new ValueView((pause, node) => {
    const { approvals, approvers, waiting_for, undelivered } = pause;
    node.classList.add(cls('people'));
    if (approvals.length > 0) {
      node.append(el('p', { class: 'approvals' }, ...approvalNodes(pause)));
    }
    if (waiting_for.length > 0 && waiting_for.length < approvers.length) {
      node.append(el('p', {}, `Waiting for ${listNames(waiting_for, 'and')}.`));
    }
    for (const [address, reason] of Object.entries(undelivered)) {
      const text = `The email to ${address} can’t be sent: ${reason}`;
      node.append(el('p', { class: 'warning' }, text));
    }
  });
}
