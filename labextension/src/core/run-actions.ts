import { button, el, hasFocus, hasVisibleFocus, setText, setVisible, uniqueId } from './dom';
import { confirmationForm, labeledField } from './form';
import { actionErrorMessage, hasEnded } from './formatting';
import type { Host } from './host';
import { PayloadField } from './payload';
import type { Run } from './types';

/**
 * The Resume and Cancel buttons of one run, and the result of the last action.
 *
 * The element stays in the page while the run changes, so that input is not lost.
 */
export class RunActions {
  readonly node: HTMLElement;
  private readonly resumeButton: HTMLButtonElement;
  private readonly payload: PayloadField;
  private readonly cancelButton: HTMLButtonElement;
  private readonly cancelForm: HTMLElement;
  private readonly reason: HTMLInputElement;
  private readonly result: HTMLElement;
  private readonly warning: HTMLElement;
  private run: Run | null = null;
  private busy = false;
  private valid = true;

  /**
   * @param host - performs the actions
   * @param onDone - called after an action with the run, or with null if the action failed
   */
  constructor(
    private readonly host: Host,
    private readonly onDone: (run: Run | null) => void
  ) {
    this.payload = new PayloadField('Data for the step', ok => {
      this.valid = ok;
      this.updateButtons();
    });
    this.resumeButton = button('Resume', () => void this.resume(), { class: 'button primary' });
    this.cancelButton = button('Cancel…', () => this.showCancelForm(true), {
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
      el('div', { class: 'buttons' }, this.resumeButton, this.cancelButton),
      this.cancelForm,
      this.result
    );
    this.update(null);
  }

  /** Show the actions that the run allows, or none for null. */
  update(run: Run | null): void {
    const hasInput = this.payload.text !== '' || hasFocus(this.payload.node);
    const hasNewPause =
      hasInput && this.run !== null && run !== null && pauseKey(run) !== pauseKey(this.run);
    if (hasNewPause && run.pause !== null) {
      setText(
        this.warning,
        `The run now waits at step ${run.pause.step}. Your data goes to that step.`
      );
      setVisible(this.warning, true);
    }
    const hadFocus = hasFocus(this.node);
    const open = run !== null && !hasEnded(run);
    setVisible(this.payload.node, run?.pause != null);
    setVisible(this.resumeButton, run?.pause != null);
    if (!open) {
      this.showCancelForm(false);
    }
    setVisible(this.cancelButton, open && this.cancelForm.hidden);
    this.run = run;
    this.updateButtons();
    if (hadFocus && !hasVisibleFocus(this.node)) {
      this.moveFocusToResult(open);
    }
  }

  private makeCancelForm(): HTMLElement {
    return confirmationForm(
      'cancel',
      { onSubmit: () => void this.cancel(), onCancel: () => this.closeCancelForm() },
      labeledField('Reason', 'optional, shown with the run', this.reason),
      el(
        'div',
        { class: 'buttons' },
        el('button', { type: 'submit', class: 'button danger' }, 'Cancel this run'),
        button('Keep it', () => this.closeCancelForm())
      )
    );
  }

  private showCancelForm(open: boolean): void {
    if (this.cancelForm.hidden !== open) {
      return;
    }
    setVisible(this.cancelForm, open);
    setVisible(this.cancelButton, !open && this.run !== null && !hasEnded(this.run));
    if (open) {
      this.reason.focus();
    }
  }

  private closeCancelForm(): void {
    this.showCancelForm(false);
    this.cancelButton.focus();
  }

  private async resume(): Promise<void> {
    const checked = this.payload.check();
    const { run } = this;
    if (run === null || !checked.ok) {
      return;
    }
    const sent = this.payload.text.trim() !== '';
    await this.perform(async () => {
      const updated = await this.host.resume(run.id, checked.value);
      this.payload.clear();
      this.showResult(sent ? 'Resumed, with your data.' : 'Resumed.', true);
      return updated;
    });
  }

  private async cancel(): Promise<void> {
    const { run } = this;
    if (run === null) {
      return;
    }
    await this.perform(async () => {
      const updated = await this.host.cancel(run.id, this.reason.value.trim() || null);
      this.reason.value = '';
      this.showResult('Canceled. No later step is executed.', true);
      return updated;
    });
  }

  private async perform(action: () => Promise<Run>): Promise<void> {
    if (this.busy) {
      return;
    }
    this.busy = true;
    this.updateButtons();
    setVisible(this.warning, false);
    this.showResult('Sending…', true);
    let updated: Run | null = null;
    try {
      updated = await action();
      // The focused button is about to be hidden.
      this.result.focus({ preventScroll: true });
    } catch (error) {
      this.showResult(actionErrorMessage(error), false);
    } finally {
      this.busy = false;
      this.updateButtons();
      this.onDone(updated);
    }
  }

  /** Move the focus from an element that was hidden to the result, and explain if it is empty. */
  private moveFocusToResult(open: boolean): void {
    if (this.result.textContent === '') {
      this.showResult(open ? 'The run is no longer paused.' : 'The run has ended.', true);
    }
    this.result.focus({ preventScroll: true });
  }

  private showResult(message: string, isSuccess: boolean): void {
    setText(this.result, message);
    this.result.dataset.kind = isSuccess ? 'success' : 'error';
  }

  /** Update the Resume button. It stays enabled during a request, to keep the focus. */
  private updateButtons(): void {
    this.resumeButton.disabled = !this.valid;
    this.node.setAttribute('aria-busy', String(this.busy));
  }
}

/** Return a key of the pause of a run, which differs between two pauses of the same run. */
function pauseKey(run: Run): string {
  const { pause } = run;
  return pause === null ? '' : `${pause.step} ${pause.resume_url ?? pause.deadline}`;
}
