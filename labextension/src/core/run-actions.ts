import { AnswerBox, CORRECT } from './answer-box';
import { asks, isCounted, isSamePause, missingText } from './decisions';
import { button, cls, el, hasFocus, hasVisibleFocus, setText, setVisible, uniqueId } from './dom';
import { confirmationForm, labeledField } from './form';
import { actionErrorMessage, hasEnded } from './formatting';
import type { Host } from './host';
import { ApiError } from './host';
import type { Pause, Run } from './types';

/**
 * What a person can do with one run: approve, reject, resume and cancel it, with an answer and a
 * note; and the result of the last action.
 *
 * The element stays in the page while the run changes, so that input is not lost.
 */
export class RunActions {
  readonly node: HTMLElement;
  private readonly answer: AnswerBox;
  private readonly resumeButton: HTMLButtonElement;
  private readonly rejectButton: HTMLButtonElement;
  private readonly cancelButton: HTMLButtonElement;
  private readonly cancelForm: HTMLElement;
  private readonly reason: HTMLInputElement;
  private readonly result: HTMLElement;
  private readonly warning: HTMLElement;
  private run: Run | null = null;
  /** The newest pause of the run. */
  private pause: Pause | null = null;
  private busy = false;
  /** What the last action has done, or an empty text. */
  private done = '';

  /**
   * @param host - performs the actions
   * @param onDone - called after an action with the run, or with null if the action failed
   */
  constructor(
    private readonly host: Host,
    private readonly onDone: (run: Run | null) => void
  ) {
    this.resumeButton = button('Resume', () => void this.resume(), { class: 'button primary' });
    this.rejectButton = button('Reject', () => void this.reject(), { class: 'button danger' });
    this.cancelButton = button('Cancel…', () => this.showCancelForm(true), {
      'aria-expanded': 'false'
    });
    // The button stays enabled during a request, to keep the focus.
    this.answer = new AnswerBox(isValid => (this.resumeButton.disabled = !isValid));
    this.reason = el('input', { type: 'text', id: uniqueId(), autocomplete: 'off' });
    this.cancelForm = this.makeCancelForm();
    this.warning = el('p', { class: 'warning', role: 'status', hidden: true });
    this.result = el('p', { class: 'result', role: 'status', tabindex: -1 });
    this.node = el(
      'div',
      { class: 'actions' },
      this.warning,
      this.answer.node,
      el('div', { class: 'buttons' }, this.resumeButton, this.rejectButton, this.cancelButton),
      this.cancelForm,
      this.result
    );
    this.update(null);
  }

  /** Show the actions that the run allows, or none for null. */
  update(run: Run | null): void {
    const hadFocus = hasFocus(this.node);
    const pause = run?.pause ?? null;
    const isNext = pause !== null && this.pause !== null && !isSamePause(pause, this.pause);
    const warning = this.answer.update(pause, run?.id ?? '');
    if (warning !== '') {
      setText(this.warning, warning);
      setVisible(this.warning, true);
    }
    const open = run !== null && !hasEnded(run);
    setVisible(this.resumeButton, pause !== null);
    this.nameButtons(asks(pause));
    if (!open) {
      this.showCancelForm(false);
    }
    setVisible(this.cancelButton, open && this.cancelForm.hidden);
    this.run = run;
    this.pause = pause ?? this.pause;
    if (isNext && this.done !== '') {
      // Else the result seems to be about the new question.
      this.showResult(`${this.done} The run now waits at step ${pause.step}.`, true);
    }
    if (hadFocus && !hasVisibleFocus(this.node)) {
      this.moveFocusToResult(run);
    }
  }

  /** Name the buttons for a question, or for another pause. */
  private nameButtons(isQuestion: boolean): void {
    setText(this.resumeButton, isQuestion ? 'Approve' : 'Resume');
    setVisible(this.rejectButton, isQuestion);
    setText(this.cancelButton, isQuestion ? 'Cancel run…' : 'Cancel…');
    this.cancelButton.className = cls(isQuestion ? 'link' : 'button');
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
    const { run } = this;
    const checked = this.answer.read();
    if (run === null) {
      return;
    }
    if (!checked.ok) {
      this.showResult(checked.message, false);
      return;
    }
    const { noteText: note, hasData } = this.answer;
    await this.perform(
      () => this.host.resume(run.id, checked.value, note, run.pause?.since),
      updated => resumedText(run, updated, hasData)
    );
  }

  private async reject(): Promise<void> {
    const { run } = this;
    if (run !== null) {
      const { noteText: note } = this.answer;
      await this.perform(() => this.host.reject(run.id, note, run.pause?.since), rejectedText);
    }
  }

  private async cancel(): Promise<void> {
    const { run } = this;
    if (run !== null) {
      await this.perform(
        () => this.host.cancel(run.id, this.reason.value.trim() || null),
        () => 'Canceled. No later step is executed.'
      );
    }
  }

  private async perform(action: () => Promise<Run>, describe: (run: Run) => string): Promise<void> {
    if (this.busy) {
      return;
    }
    this.setBusy(true);
    setVisible(this.warning, false);
    this.done = '';
    this.showResult('Sending…', true);
    let updated: Run | null = null;
    try {
      updated = await action();
      this.done = describe(updated);
      this.showResult(this.done, true);
      this.answer.clear();
      this.reason.value = '';
      // The focused button is about to be hidden.
      this.result.focus({ preventScroll: true });
    } catch (error) {
      this.showError(error);
    } finally {
      this.setBusy(false);
      this.onDone(updated);
    }
  }

  /** Show why an action failed, at the fields of the answer if it is about them. */
  private showError(error: unknown): void {
    const errors = error instanceof ApiError ? error.errors : [];
    if (errors.length === 0) {
      this.showResult(actionErrorMessage(error), false);
      return;
    }
    const others = this.answer.showErrors(errors);
    const isMarked = others.length < errors.length;
    this.showResult([...(isMarked ? [CORRECT] : []), ...others].join(' '), false);
  }

  /** Move the focus from an element that was hidden to the result, and explain if it is empty. */
  private moveFocusToResult(run: Run | null): void {
    if (this.result.textContent === '') {
      this.showResult(stateText(run), true);
    }
    this.result.focus({ preventScroll: true });
  }

  private showResult(message: string, isSuccess: boolean): void {
    setText(this.result, message);
    this.result.dataset.kind = isSuccess ? 'success' : 'error';
  }

  private setBusy(busy: boolean): void {
    this.busy = busy;
    this.node.setAttribute('aria-busy', String(busy));
  }
}

/** Return what a resume has done: an approval may only count, while more are required. */
function resumedText(before: Run, after: Run, hasData: boolean): string {
  if (isCounted(before, after)) {
    return `Your approval is counted; ${missingText(after.pause)}.`;
  }
  if (asks(before.pause)) {
    return 'Approved.';
  }
  return hasData ? 'Resumed, with your data.' : 'Resumed.';
}

function rejectedText(after: Run): string {
  return after.status === 'canceled'
    ? 'Rejected. No later step is executed.'
    : 'Rejected. The run continues.';
}

/** Return why the elements that had the focus are hidden. */
function stateText(run: Run | null): string {
  if (run === null || hasEnded(run)) {
    return 'The run has ended.';
  }
  return run.pause === null
    ? 'The run is no longer paused.'
    : `The run now waits at step ${run.pause.step}.`;
}
