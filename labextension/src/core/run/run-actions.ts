import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { keyed } from 'lit/directives/keyed.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { Component, uniqueId } from '../component';
import { actionErrorMessage, hasEnded } from '../formatting';
import { ApiError } from '../host';
import type { LiveRuns } from '../live-runs';
import { button, labeledField } from '../parts';
import type { FieldError, Pause, Run } from '../types';
import type { Answer } from './answer-box';
import { answerBox, NO_ANSWER } from './answer-box';
import type { FormSchema } from './ask-form';
import { otherMessages } from './ask-form';
import { asks, isCounted, isSamePause, missingText } from './decisions';
import { takeDraft } from './drafts';
import { hasFocus, hasVisibleFocus } from '../focus';

/** What to do after errors were shown at their fields. */
const CORRECT = 'Correct the marked fields.';

/** The properties of {@link runActions}. */
export interface RunActionsProps {
  runs: LiveRuns;
  run: Run;
  /** The only step whose pauses are answered here, or all steps if it is left out. */
  step?: string;
}

/** What the last action has done, or why it failed. */
interface Result {
  text: string;
  kind: 'error' | 'success';
}

const NO_RESULT: Result = { text: '', kind: 'success' };

class RunActions extends Component<RunActionsProps> {
  private readonly root = createRef<HTMLElement>();
  private readonly resultNode = createRef<HTMLElement>();
  private readonly reasonId = uniqueId();
  /** The newest pause of the run. */
  private pause: Pause | null = null;
  /** Counts the answers that begin anew. */
  private generation = 0;
  private answer: Answer = NO_ANSWER;
  private errors: readonly FieldError[] = [];
  private warning = '';
  private result = NO_RESULT;
  /** Whether the result says that the person's approval is counted. */
  private isCounted = false;
  private isBusy = false;
  private isCanceling = false;

  protected override start(): void {
    this.pause = this.open;
  }

  protected override propsChanged(): void {
    const hadFocus = hasFocus(this.root.value);
    this.updateCounted();
    if (this.open !== null) {
      this.takePause(this.open);
    }
    this.isCanceling &&= !hasEnded(this.props.run);
    if (hadFocus) {
      queueMicrotask(() => this.keepFocus());
    }
  }

  protected template(): unknown {
    return html`<div class="jp-PDFlow-actions" aria-busy=${this.isBusy} ${ref(this.root)}>
      ${
        this.warning === ''
          ? nothing
          : html`<p class="jp-PDFlow-warning" role="status">${this.warning}</p>`
      }
      ${this.answerFields()}
      <div class="jp-PDFlow-decide">${this.buttons()} ${this.cancelForm()}</div>
      <p
        class="jp-PDFlow-result"
        role="status"
        tabindex="-1"
        data-kind=${this.result.kind}
        .textContent=${this.result.text}
        ${ref(this.resultNode)}
      ></p>
    </div>`;
  }

  /** The pause that can be answered now. */
  private get open(): Pause | null {
    const { run, step } = this.props;
    return step === undefined || run.pause?.step === step ? run.pause : null;
  }

  private answerFields(): unknown {
    const { pause, errors } = this;
    const { run } = this.props;
    if (pause === null) {
      return nothing;
    }
    const draft = draftKey(run, pause);
    const isShown = this.open !== null;
    const box = answerBox({ pause, isShown, draft, errors, onInput: this.onAnswer });
    // Only a template begins anew with another key, a part alone does not.
    return keyed(this.generation, html`${box}`);
  }

  private buttons(): unknown {
    const { open } = this;
    const { run, step } = this.props;
    if (hasEnded(run) || (step !== undefined && open === null)) {
      return nothing;
    }
    const isQuestion = asks(open);
    const cancel = this.isCanceling
      ? nothing
      : button(
          isQuestion ? 'Cancel run…' : 'Cancel…',
          () => this.showCancelForm(true),
          isQuestion ? 'link' : 'button'
        );
    return html`<div class="jp-PDFlow-buttons">
      ${open === null ? nothing : this.resumeButton(isQuestion)}
      ${isQuestion ? button('Reject', () => void this.reject(), 'button danger') : nothing}
      ${cancel}
    </div>`;
  }

  /** The button stays enabled during a request, to keep the focus. */
  private resumeButton(isQuestion: boolean): TemplateResult {
    return html`<button
      type="button"
      class="jp-PDFlow-button jp-PDFlow-primary"
      ?disabled=${!this.answer.data.ok}
      @click=${() => void this.resume()}
    >
      ${isQuestion ? 'Approve' : 'Resume'}
    </button>`;
  }

  private cancelForm(): unknown {
    if (!this.isCanceling) {
      return nothing;
    }
    const field = html`<input type="text" id=${this.reasonId} autocomplete="off" />`;
    return html`<form
      class="jp-PDFlow-cancel"
      @submit=${this.onSubmit}
      @keydown=${this.onCancelKey}
    >
      ${labeledField(this.reasonId, 'Reason', 'optional, shown with the run', field)}
      <div class="jp-PDFlow-buttons">
        <button type="submit" class="jp-PDFlow-button jp-PDFlow-danger">Cancel this run</button>
        ${button('Keep it', () => this.closeCancelForm())}
      </div>
    </form>`;
  }

  private readonly onAnswer = (answer: Answer): void => {
    this.answer = answer;
    this.requestUpdate();
  };

  private readonly onSubmit = (event: Event): void => {
    event.preventDefault();
    void this.cancel();
  };

  private readonly onCancelKey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      this.closeCancelForm();
    }
  };

  /** Keep up with the others what is said about a counted approval. */
  private updateCounted(): void {
    const { open, pause, result } = this;
    if (!this.isCounted || result.kind === 'error') {
      return;
    }
    this.isCounted = open !== null && pause !== null && isSamePause(open, pause);
    const text = open !== null && this.isCounted ? countedText(open) : 'Your approval was counted.';
    this.result = { ...result, text };
  }

  /** Begin a new answer if the run waits in another pause, unless nothing was or is asked. */
  private takePause(pause: Pause): void {
    const previous = this.pause;
    this.pause = pause;
    if (previous === null || isSamePause(previous, pause)) {
      return;
    }
    const isOther = asks(previous) || asks(pause);
    takeDraft(draftKey(this.props.run, previous));
    if (this.answer.isEdited || hasFocus(this.answerNode)) {
      const effect = isOther
        ? 'What you entered for the earlier question was not sent.'
        : 'Your data goes to that step.';
      this.warning = `The run now waits at step ${pause.step}. ${effect}`;
    }
    if (isOther) {
      this.clearAnswer();
    }
    if (this.result.kind === 'success' && this.result.text !== '') {
      // Else the result seems to be about the new question.
      this.show(`${this.result.text} The run now waits at step ${pause.step}.`, 'success');
    }
  }

  private get answerNode(): HTMLElement | undefined {
    return this.root.value?.querySelector<HTMLElement>('.jp-PDFlow-answer') ?? undefined;
  }

  private clearAnswer(): void {
    this.generation += 1;
    this.answer = NO_ANSWER;
    this.errors = [];
  }

  private showCancelForm(isOpen: boolean): void {
    this.isCanceling = isOpen;
    this.requestUpdate();
    const selector = isOpen ? `#${this.reasonId}` : '.jp-PDFlow-buttons > :last-child';
    queueMicrotask(() => this.root.value?.querySelector<HTMLElement>(selector)?.focus());
  }

  private closeCancelForm(): void {
    this.showCancelForm(false);
  }

  private async resume(): Promise<void> {
    const { run, runs } = this.props;
    const { data, note, hasData, problems } = this.answer;
    if (problems.length > 0) {
      this.showErrors(problems);
    } else if (data.ok) {
      await this.perform(
        () => runs.host.resume(run.id, data.value, note, run.pause?.since),
        updated => resumedText(run, updated, hasData)
      );
    }
  }

  private async reject(): Promise<void> {
    const { run, runs } = this.props;
    const { note } = this.answer;
    await this.perform(() => runs.host.reject(run.id, note, run.pause?.since), rejectedText);
  }

  private async cancel(): Promise<void> {
    const { run, runs } = this.props;
    const field = this.root.value?.querySelector<HTMLInputElement>(`#${this.reasonId}`);
    await this.perform(
      () => runs.host.cancel(run.id, field?.value.trim() || null),
      () => 'Canceled. No later step is executed.'
    );
  }

  private async perform(action: () => Promise<Run>, describe: (run: Run) => string): Promise<void> {
    if (this.isBusy) {
      return;
    }
    const { runs, run } = this.props;
    this.isBusy = true;
    this.warning = '';
    this.show('Sending…', 'success');
    try {
      const updated = await action();
      this.isCounted = isCounted(run, updated);
      this.succeed(describe(updated));
      runs.put(updated);
    } catch (error) {
      this.showError(error);
      runs.host.get(run.id).then(
        known => runs.put(known),
        () => undefined
      );
    } finally {
      this.isBusy = false;
      this.requestUpdate();
    }
  }

  /** Forget what was sent, and say what was done. The focused button is about to go. */
  private succeed(text: string): void {
    if (this.pause !== null) {
      takeDraft(draftKey(this.props.run, this.pause));
    }
    this.clearAnswer();
    this.isCanceling = false;
    this.show(text, 'success');
    this.resultNode.value?.focus({ preventScroll: true });
  }

  /** Show why an action failed, at the fields of the answer if it is about them. */
  private showError(error: unknown): void {
    const errors = error instanceof ApiError ? error.errors : [];
    if (errors.length === 0) {
      this.show(actionErrorMessage(error), 'error');
    } else {
      this.showErrors(errors);
    }
  }

  private showErrors(errors: readonly FieldError[]): void {
    const schema = this.props.run.pause?.form as unknown as FormSchema | null | undefined;
    const others = schema ? otherMessages(schema, errors) : errors.map(({ message }) => message);
    this.errors = [...errors];
    const isMarked = others.length < errors.length;
    this.show([...(isMarked ? [CORRECT] : []), ...others].join(' '), 'error');
  }

  /** Move the focus from an element that has gone to the result, and explain if it is empty. */
  private keepFocus(): void {
    if (hasVisibleFocus(this.root.value) || !this.isConnected) {
      return;
    }
    if (this.result.text === '') {
      this.show(stateText(this.props.run), 'success');
    }
    // The result may be invisible until it has a text, and such an element takes no focus.
    queueMicrotask(() => this.resultNode.value?.focus({ preventScroll: true }));
  }

  private show(text: string, kind: Result['kind']): void {
    this.result = { text, kind };
    this.requestUpdate();
  }
}

/** What a person can do with a run: approve, reject, resume and cancel it. */
export const runActions = directive(RunActions);

function draftKey({ id }: Run, { step, since }: Pause): string {
  return `${id} ${step} ${since}`;
}

/** Return what a resume has done: an approval may only count, while more are required. */
function resumedText(before: Run, after: Run, hasData: boolean): string {
  if (isCounted(before, after)) {
    return countedText(after.pause);
  }
  if (asks(before.pause)) {
    return 'Approved.';
  }
  return hasData ? 'Resumed, with your data.' : 'Resumed.';
}

function countedText(pause: Pause): string {
  return `Your approval is counted; ${missingText(pause)}.`;
}

function rejectedText(after: Run): string {
  return after.status === 'canceled'
    ? 'Rejected. No later step is executed.'
    : 'Rejected. The run continues.';
}

/** Return why the elements that had the focus are gone. */
function stateText(run: Run): string {
  if (hasEnded(run)) {
    return 'The run has ended.';
  }
  return run.pause === null
    ? 'The run is no longer paused.'
    : `The run now waits at step ${run.pause.step}.`;
}
