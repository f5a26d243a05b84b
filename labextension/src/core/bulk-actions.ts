import { asks, isCounted } from './decisions';
import { button, el, hasFocus, hasVisibleFocus, setText, setVisible, uniqueId } from './dom';
import { confirmationForm, labeledField } from './form';
import { actionErrorMessage, formatCount } from './formatting';
import type { Host } from './host';
import { ApiError } from './host';
import { PayloadField } from './payload';
import type { Run, RunItem } from './types';

type ActionName = 'cancel' | 'resume';

/** What an action has done to several runs. */
interface Outcome {
  done: number;
  /** Number of runs that have counted an approval, and wait for more. */
  counted: number;
  failures: [RunItem, string][];
}

/** Maximum number of requests at the same time. */
const CONCURRENCY = 4;

/** The bar that resumes or cancels the selected runs, with its confirmation form and the result. */
export class BulkActions {
  readonly node: HTMLElement;
  private readonly bar: HTMLElement;
  private readonly countText = el('span', { class: 'bulk-count' });
  private readonly resumeButton: HTMLButtonElement;
  private readonly form: HTMLFormElement;
  private readonly prompt = el('p', { class: 'bulk-prompt' });
  private readonly payload: PayloadField;
  private readonly reason = el('input', { type: 'text', id: uniqueId(), autocomplete: 'off' });
  private readonly reasonField: HTMLElement;
  private readonly confirm = el('button', { type: 'submit', class: 'button primary' });
  private readonly result = el('div', { class: 'result', role: 'status', tabindex: -1 });
  private selected: RunItem[] = [];
  private action: ActionName | null = null;
  private busy = false;

  /**
   * @param host - performs the actions
   * @param onRun - called with each run that an action returned
   * @param onClear - called to clear the selection and to move the focus
   */
  constructor(
    private readonly host: Host,
    private readonly onRun: (run: Run) => void,
    private readonly onClear: () => void
  ) {
    this.payload = new PayloadField('Data for each step', ok => {
      this.confirm.disabled = !ok;
    });
    this.reasonField = labeledField('Reason', 'optional', this.reason);
    this.resumeButton = button('Resume…', () => this.openForm('resume'));
    this.bar = el(
      'div',
      { class: 'bulk-bar', role: 'group', 'aria-label': 'Selected runs' },
      this.countText,
      this.resumeButton,
      button('Cancel…', () => this.openForm('cancel')),
      button('Clear selection', onClear, { class: 'link' })
    );
    this.form = this.makeForm();
    this.node = el('div', { class: 'bulk' }, this.bar, this.form, this.result);
    this.update([]);
  }

  /** Show the number of selected runs, and the actions for them. */
  update(selected: RunItem[]): void {
    this.selected = selected;
    const hasSelection = selected.length > 0;
    const hadFocus = hasFocus(this.node);
    setText(this.countText, `${formatCount(selected.length, 'run')} selected`);
    setVisible(this.bar, hasSelection && this.action === null);
    setVisible(this.resumeButton, this.applicableRuns('resume').length > 0);
    if (!hasSelection && !this.busy) {
      this.action = null;
    }
    this.updateForm();
    if (hadFocus && !hasVisibleFocus(this.node)) {
      this.result.focus({ preventScroll: true });
    }
  }

  private makeForm(): HTMLFormElement {
    return confirmationForm(
      'bulk-form',
      { onSubmit: () => void this.submit(), onCancel: () => this.closeForm() },
      this.prompt,
      this.payload.node,
      this.reasonField,
      el(
        'div',
        { class: 'buttons' },
        this.confirm,
        button('Back', () => this.closeForm())
      )
    );
  }

  private openForm(action: ActionName): void {
    this.action = action;
    this.result.replaceChildren();
    this.update(this.selected);
    const field = action === 'resume' ? this.payload.node : this.reasonField;
    field.querySelector<HTMLElement>('textarea, input')?.focus();
  }

  private closeForm(): void {
    this.action = null;
    this.update(this.selected);
    this.bar.querySelector<HTMLElement>('button:not([hidden])')?.focus();
  }

  private updateForm(): void {
    const { action } = this;
    setVisible(this.form, action !== null);
    if (action === null) {
      return;
    }
    const runs = this.applicableRuns(action);
    const skipped = this.selected.length - runs.length;
    const effect =
      action === 'resume' ? 'They continue at once.' : 'Their later steps are not executed.';
    const others =
      skipped > 0
        ? ` ${formatCount(skipped, 'selected run')} ${skipped === 1 ? 'is' : 'are'} not paused and will be skipped.`
        : '';
    const asking = action === 'resume' ? runs.filter(run => asks(run.pause)).length : 0;
    const approves =
      asking > 0
        ? ` ${asking} of them ${asking === 1 ? 'asks' : 'ask'} for an approval: yours.`
        : '';
    const label = `${action === 'resume' ? 'Resume' : 'Cancel'} ${formatCount(runs.length, 'run')}`;
    setText(this.prompt, `${label}? ${effect}${approves}${others}`);
    setText(this.confirm, label);
    this.confirm.classList.toggle('jp-PDFlow-danger', action === 'cancel');
    this.confirm.classList.toggle('jp-PDFlow-primary', action === 'resume');
    setVisible(this.payload.node, action === 'resume');
    setVisible(this.reasonField, action === 'cancel');
    this.confirm.disabled = runs.length === 0 || (action === 'resume' && !this.payload.check().ok);
  }

  /** Return the selected runs to which an action applies. */
  private applicableRuns(action: ActionName): RunItem[] {
    return action === 'cancel' ? this.selected : this.selected.filter(run => run.pause !== null);
  }

  private async submit(): Promise<void> {
    const { action } = this;
    const checked = this.payload.check();
    if (action === null || this.busy || (action === 'resume' && !checked.ok)) {
      return;
    }
    const data = checked.ok ? checked.value : null;
    const reason = this.reason.value.trim() || null;
    const queue = [...this.applicableRuns(action)];
    const outcome: Outcome = { done: 0, counted: 0, failures: [] };
    this.busy = true;
    this.result.replaceChildren('Sending…');
    const worker = async (): Promise<void> => {
      for (let run = queue.shift(); run !== undefined; run = queue.shift()) {
        try {
          const { id } = run;
          const updated =
            action === 'resume'
              ? await this.host.resume(id, data, null, run.pause?.since)
              : await this.host.cancel(id, reason);
          outcome[isCounted(run, updated) ? 'counted' : 'done'] += 1;
          this.onRun(updated);
        } catch (error) {
          outcome.failures.push([run, refusalText(error)]);
        }
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
    this.busy = false;
    this.action = null;
    this.payload.clear();
    this.reason.value = '';
    this.showResult(action, outcome);
    this.onClear();
  }

  private showResult(action: ActionName, { done, counted, failures }: Outcome): void {
    const summary = [
      `${formatCount(done, 'run')} ${action === 'resume' ? 'resumed' : 'canceled'}.`
    ];
    if (counted > 0) {
      summary.push(`${formatCount(counted, 'approval')} counted; more have to approve.`);
    }
    const items = failures.map(([run, message]) =>
      el('li', {}, `${run.title ?? run.workflow_name}, run ${run.id}: ${message}`)
    );
    const parts: Node[] = [el('p', {}, summary.join(' '))];
    if (items.length > 0) {
      parts.push(
        el('p', {}, `Failed for ${formatCount(items.length, 'run')}:`),
        el('ul', {}, ...items)
      );
    }
    this.result.replaceChildren(...parts);
    this.result.dataset.kind = items.length > 0 ? 'error' : 'success';
    this.result.focus({ preventScroll: true });
  }
}

/** Return why a run has refused an action, with what is wrong with the fields of an answer. */
function refusalText(error: unknown): string {
  const errors = error instanceof ApiError ? error.errors : [];
  const fields = errors.map(({ field, message }) =>
    field === '' ? message : `${field}: ${message}`
  );
  return [actionErrorMessage(error), ...fields].join(' ');
}
