import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { Component, uniqueId } from '../component';
import { formatCount } from '../formatting';
import type { Host } from '../host';
import { button, labeledField } from '../parts';
import { asks } from '../run/decisions';
import type { Run, RunItem } from '../types';
import { checkPayload } from '../values/payload';
import type { ActionName, Outcome } from './bulk-outcome';
import { actOnAll, outcomeNode } from './bulk-outcome';
import { focusFirst } from '../focus';

/** The properties of {@link bulkActions}. */
export interface BulkActionsProps {
  host: Host;
  selected: readonly RunItem[];
  /** Called with each run that an action has returned. */
  onRun: (run: Run) => void;
  /** Called to clear the selection and to move the focus to the list. */
  onClear: () => void;
}

class BulkActions extends Component<BulkActionsProps> {
  private readonly container = createRef<HTMLElement>();
  private readonly fieldId = uniqueId();
  private action: ActionName | null = null;
  private problem = '';
  private isBusy = false;
  private outcome: { action: ActionName; outcome: Outcome } | null = null;

  protected override propsChanged(previous: BulkActionsProps): void {
    const { selected } = this.props;
    if (selected.length === 0 && !this.isBusy) {
      this.action = null;
    }
    if (selected.length > 0 && previous.selected.length === 0) {
      this.outcome = null;
    }
  }

  protected template(): TemplateResult {
    const { selected } = this.props;
    const content =
      selected.length === 0 && !this.isBusy
        ? nothing
        : this.action === null
          ? this.bar(selected)
          : this.form(this.action);
    return html`<div class="jp-PDFlow-bulk" ${ref(this.container)} @keydown=${this.onKeydown}>
      ${content}${this.result()}
    </div>`;
  }

  private bar(selected: readonly RunItem[]): TemplateResult {
    const resume = button('Resume…', () => this.openForm('resume'));
    return html`<div class="jp-PDFlow-bulk-bar" role="group" aria-label="Selected runs">
      <span class="jp-PDFlow-bulk-count">${formatCount(selected.length, 'run')} selected</span>
      <div class="jp-PDFlow-buttons">
        ${this.applicable('resume').length > 0 ? resume : nothing}
        ${button('Cancel…', () => this.openForm('cancel'))}
      </div>
      ${button('Clear selection', this.props.onClear, 'link')}
    </div>`;
  }

  private form(action: ActionName): TemplateResult {
    const runs = this.applicable(action);
    const label = labelOf(action, runs.length);
    const kind = action === 'cancel' ? 'jp-PDFlow-danger' : 'jp-PDFlow-primary';
    return html`<form class="jp-PDFlow-bulk-form" @submit=${this.onSubmit}>
      <p class="jp-PDFlow-bulk-prompt">${promptOf(action, runs, this.props.selected.length)}</p>
      ${action === 'resume' ? this.payloadField() : this.reasonField()}
      <div class="jp-PDFlow-buttons">
        <button
          type="submit"
          class="jp-PDFlow-button ${kind}"
          ?disabled=${runs.length === 0 || this.problem !== '' || this.isBusy}
        >
          ${label}
        </button>
        ${button('Back', this.closeForm)}
      </div>
    </form>`;
  }

  private payloadField(): TemplateResult {
    const problemId = `${this.fieldId}-problem`;
    const field = html`<textarea
        id=${this.fieldId}
        class="jp-PDFlow-payload"
        rows="2"
        spellcheck="false"
        autocomplete="off"
        placeholder='{"approved": true}'
        aria-describedby=${problemId}
        aria-invalid=${this.problem === '' ? 'false' : 'true'}
        @input=${this.onPayload}
      ></textarea>
      <div class="jp-PDFlow-problem" id=${problemId} role="status">${this.problem}</div>`;
    return labeledField(this.fieldId, 'Data for each step', 'JSON, optional', field);
  }

  private reasonField(): TemplateResult {
    const field = html`<input type="text" id=${this.fieldId} autocomplete="off" />`;
    return labeledField(this.fieldId, 'Reason', 'optional', field);
  }

  private result(): TemplateResult {
    const content = this.outcome && outcomeNode(this.outcome.action, this.outcome.outcome);
    const isFailed = (this.outcome?.outcome.failures.length ?? 0) > 0;
    return html`<div class="jp-PDFlow-bulk-result" ?data-empty=${!this.outcome && !this.isBusy}>
      <div
        class="jp-PDFlow-result"
        role="status"
        tabindex="-1"
        data-kind=${isFailed ? 'error' : 'success'}
      >
        ${this.isBusy ? 'Sending…' : (content ?? nothing)}
      </div>
      ${this.outcome ? button('Close', this.closeResult, 'link') : nothing}
    </div>`;
  }

  private readonly onPayload = ({ currentTarget }: Event): void => {
    const checked = checkPayload((currentTarget as HTMLTextAreaElement).value);
    this.problem = checked.ok ? '' : checked.message;
    this.requestUpdate();
  };

  private readonly onKeydown = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && !this.isBusy) {
      event.preventDefault();
      event.stopPropagation();
      if (this.action !== null) {
        this.closeForm();
      } else if (this.outcome) {
        this.closeResult();
      } else {
        this.props.onClear();
      }
    }
  };

  private openForm(action: ActionName): void {
    this.action = action;
    this.problem = '';
    this.outcome = null;
    this.requestUpdate();
    this.focus('textarea, input');
  }

  private readonly closeForm = (): void => {
    this.action = null;
    this.requestUpdate();
    this.focus('button');
  };

  private readonly closeResult = (): void => {
    this.outcome = null;
    this.requestUpdate();
    this.props.onClear();
  };

  private readonly onSubmit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const { action, isBusy, props } = this;
    const text = this.container.value?.querySelector<HTMLInputElement>(`#${this.fieldId}`)?.value;
    const checked = checkPayload(action === 'resume' ? (text ?? '') : '');
    if (action === null || isBusy || !checked.ok) {
      return;
    }
    const runs = this.applicable(action);
    const value = action === 'resume' ? checked.value : (text?.trim() ?? '') || null;
    this.isBusy = true;
    this.requestUpdate();
    const outcome = await actOnAll({ host: props.host, action, runs, value, onRun: props.onRun });
    this.isBusy = false;
    this.action = null;
    this.outcome = { action, outcome };
    props.onClear();
    this.requestUpdate();
    this.focus('.jp-PDFlow-result');
  };

  /** Return the selected runs to which an action applies. */
  private applicable(action: ActionName): RunItem[] {
    return this.props.selected.filter(run => action === 'cancel' || run.pause !== null);
  }

  /** Focus a part once it is drawn. */
  private focus(selector: string): void {
    queueMicrotask(() => {
      if (this.container.value) {
        focusFirst(this.container.value, selector);
      }
    });
  }
}

/** The bar that resumes or cancels the selected runs, with its form and the result. */
export const bulkActions = directive(BulkActions);

function labelOf(action: ActionName, count: number): string {
  return `${action === 'resume' ? 'Resume' : 'Cancel'} ${formatCount(count, 'run')}`;
}

/** Return what is asked before an action. */
function promptOf(action: ActionName, runs: readonly RunItem[], selected: number): string {
  const parts = [`${labelOf(action, runs.length)}?`];
  const skipped = selected - runs.length;
  const asking = action === 'resume' ? runs.filter(run => asks(run.pause)).length : 0;
  parts.push(
    action === 'resume' ? 'They continue at once.' : 'Their later steps are not executed.'
  );
  if (asking > 0) {
    parts.push(`${asking} of them ${asking === 1 ? 'asks' : 'ask'} for an approval: yours.`);
  }
  if (skipped > 0) {
    const are = skipped === 1 ? 'is' : 'are';
    parts.push(`${formatCount(skipped, 'selected run')} ${are} not paused and will be skipped.`);
  }
  return parts.join(' ');
}
