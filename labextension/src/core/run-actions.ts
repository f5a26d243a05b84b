import { button, el, hasFocus, hasVisibleFocus, setText, setVisible, uniqueId } from './dom';
import { labeledField, confirmationForm } from './form';
import type { Host } from './host';
import { PayloadField } from './payload';
import type { Run } from './types';
import { actionErrorMessage, hasEnded } from './formatting';

/**
 * Resume and Cancel for one run, and what came of them.
 *
 * It stays in the page while the run changes, so that what is being typed is kept.
 */
export class RunActions {
  readonly node: HTMLElement;
  private readonly resumeButton: HTMLButtonElement;
  private readonly payload: PayloadField;
  private readonly cancelOpener: HTMLButtonElement;
  private readonly cancelForm: HTMLElement;
  private readonly reason: HTMLInputElement;
  private readonly result: HTMLElement;
  private readonly warning: HTMLElement;
  private run: Run | null = null;
  private busy = false;
  private valid = true;

  /**
   * @param host - what carries the actions out
   * @param onDone - told the run after an action, or null where it has to be read again
   */
  constructor(
    private readonly host: Host,
    private readonly onDone: (run: Run | null) => void
  ) {
    this.payload = new PayloadField('Data for the step', ok => {
      this.valid = ok;
      this.enable();
    });
    this.resumeButton = button('Resume', () => void this.resume(), { class: 'button primary' });
    this.cancelOpener = button('Cancel…', () => this.openCancelForm(true), {
      'aria-expanded': 'false'
    });
    this.reason = el('input', { type: 'text', id: uniqueId(), autocomplete: 'off' });
    this.cancelForm = this.makeCancelForm();
    this.warning = el('p', { class: 'warning', role: 'status', hidden: true });
    this.result = el('p', { class: 'result', role: 'status', tabindex: -1 });
    this.node = el(
      'div',
      { class: 'actions' },
      this.warning,
      this.payload.node,
      el('div', { class: 'buttons' }, this.resumeButton, this.cancelOpener),
      this.cancelForm,
      this.result
    );
    this.update(null);
  }

  /** Offer what the run allows now; with null, nothing. */
  update(run: Run | null): void {
    const typing = this.payload.text !== '' || hasFocus(this.payload.node);
    const hasNewPause =
      typing && this.run !== null && run !== null && pauseKey(run) !== pauseKey(this.run);
    if (hasNewPause && run.pause !== null) {
      setText(
        this.warning,
        `The run waits anew, at step ${run.pause.step}: what you send goes there.`
      );
      setVisible(this.warning, true);
    }
    const hadFocus = hasFocus(this.node);
    const open = run !== null && !hasEnded(run);
    setVisible(this.payload.node, run?.pause != null);
    setVisible(this.resumeButton, run?.pause != null);
    if (!open) {
      this.openCancelForm(false);
    }
    setVisible(this.cancelOpener, open && this.cancelForm.hidden);
    this.run = run;
    this.enable();
    if (hadFocus && !hasVisibleFocus(this.node)) {
      this.takeFocus(open);
    }
  }

  private makeCancelForm(): HTMLElement {
    return confirmationForm(
      'cancel',
      { onSubmit: () => void this.cancel(), onCancel: () => this.closeCancelForm() },
      labeledField('Reason', 'shown with the run, may be left empty', this.reason),
      el(
        'div',
        { class: 'buttons' },
        el('button', { type: 'submit', class: 'button danger' }, 'Cancel this run'),
        button('Keep it', () => this.closeCancelForm())
      )
    );
  }

  private openCancelForm(open: boolean): void {
    if (this.cancelForm.hidden !== open) {
      return;
    }
    setVisible(this.cancelForm, open);
    setVisible(this.cancelOpener, !open && this.run !== null && !hasEnded(this.run));
    if (open) {
      this.reason.focus();
    }
  }

  private closeCancelForm(): void {
    this.openCancelForm(false);
    this.cancelOpener.focus();
  }

  private async resume(): Promise<void> {
    const checked = this.payload.check();
    const { run } = this;
    if (run === null || !checked.ok) {
      return;
    }
    const sent = this.payload.text.trim() !== '';
    await this.perform(async () => {
      const after = await this.host.resume(run.id, checked.value);
      this.payload.clear();
      this.showResult(sent ? 'Resumed, with your data.' : 'Resumed.', true);
      return after;
    });
  }

  private async cancel(): Promise<void> {
    const { run } = this;
    if (run === null) {
      return;
    }
    await this.perform(async () => {
      const after = await this.host.cancel(run.id, this.reason.value.trim() || null);
      this.reason.value = '';
      this.showResult('Canceled. No later step is executed.', true);
      return after;
    });
  }

  private async perform(action: () => Promise<Run>): Promise<void> {
    if (this.busy) {
      return;
    }
    this.busy = true;
    this.enable();
    setVisible(this.warning, false);
    this.showResult('One moment…', true);
    let after: Run | null = null;
    try {
      after = await action();
      // The focus goes to the answer: the button that had it is about to go.
      this.result.focus({ preventScroll: true });
    } catch (error) {
      this.showResult(actionErrorMessage(error), false);
    } finally {
      this.busy = false;
      this.enable();
      this.onDone(after);
    }
  }

  /** What had the focus is hidden now: the answer takes it, and tells why if nothing else is told. */
  private takeFocus(open: boolean): void {
    if (this.result.textContent === '') {
      this.showResult(open ? 'The run does not wait any more.' : 'The run has ended.', true);
    }
    this.result.focus({ preventScroll: true });
  }

  private showResult(message: string, good: boolean): void {
    setText(this.result, message);
    this.result.dataset.kind = good ? 'good' : 'bad';
  }

  /** Buttons stay focusable while a request is under way: a disabled one loses the focus. */
  private enable(): void {
    this.resumeButton.disabled = !this.valid;
    this.node.setAttribute('aria-busy', String(this.busy));
  }
}

/** What a run waits for: it is another one when the run waits anew. */
function pauseKey(run: Run): string {
  const { pause } = run;
  return pause === null ? '' : `${pause.step} ${pause.resume_url ?? pause.deadline}`;
}
