import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { Component, uniqueId } from '../component';
import { actionErrorMessage } from '../formatting';
import type { LiveRuns } from '../live-runs';
import { button } from '../parts';
import type { Run } from '../types';
import { jsonTree } from '../values/json-tree';
import { checkPayload } from '../values/payload';
import { jsonField } from './json-field';

/** The properties of {@link eventTab}. */
export interface EventTabProps {
  runs: LiveRuns;
  run: Run;
  /** Opens a run that was started. */
  onOpen: (id: string) => void;
}

class EventTab extends Component<EventTabProps> {
  private readonly root = createRef<HTMLElement>();
  private readonly id = uniqueId();
  /** The edited event as text, or null if it is not edited. */
  private text: string | null = null;
  private result = '';
  private started: string | null = null;
  private isBusy = false;

  protected template(): unknown {
    const { run } = this.props;
    return html`<div class="jp-PDFlow-event" ${ref(this.root)}>
      <div class="jp-PDFlow-trees">${jsonTree(run.event, 'event')}</div>
      ${this.text === null ? this.buttons() : this.editor(this.text)}
      <p class="jp-PDFlow-result" role="status">${this.result}${this.startedLink()}</p>
    </div>`;
  }

  private buttons(): TemplateResult {
    return html`<div class="jp-PDFlow-buttons">
        ${button('Run again', () => void this.startRun(this.props.run.event))}
        ${button('Run again with changes…', () => this.edit())}
      </div>
      <p class="jp-PDFlow-hint">A new run starts, of the workflow’s newest version.</p>`;
  }

  private editor(text: string): TemplateResult {
    const checked = checkPayload(text);
    const field = jsonField({
      id: this.id,
      label: 'Event of the new run',
      hint: 'JSON',
      initial: JSON.stringify(this.props.run.event, null, 2),
      rows: Math.min(16, Math.max(4, text.split('\n').length)),
      problem: checked.ok ? '' : checked.message,
      onInput: this.onInput
    });
    return html`<form class="jp-PDFlow-editor" @submit=${this.onSubmit} @keydown=${this.onKey}>
      ${field}
      <div class="jp-PDFlow-buttons">
        <button type="submit" class="jp-PDFlow-button jp-PDFlow-primary" ?disabled=${!checked.ok}>
          Start the run
        </button>
        ${button('Don’t', () => this.close())}
      </div>
    </form>`;
  }

  private startedLink(): unknown {
    const { started } = this;
    return started === null
      ? nothing
      : html` ${button('Show the new run', () => this.props.onOpen(started), 'link')}`;
  }

  private readonly onInput = (text: string): void => {
    this.text = text;
    this.requestUpdate();
  };

  private readonly onSubmit = (event: Event): void => {
    event.preventDefault();
    const checked = checkPayload(this.text ?? '');
    if (checked.ok) {
      void this.startRun(checked.value);
    }
  };

  private readonly onKey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      this.close();
    }
  };

  private edit(): void {
    this.text = JSON.stringify(this.props.run.event, null, 2);
    this.redraw('textarea');
  }

  private close(): void {
    this.text = null;
    this.redraw('.jp-PDFlow-buttons > :last-child');
  }

  /** Draw again, and focus an element, because the focused one has gone. */
  private redraw(selector: string): void {
    this.requestUpdate();
    queueMicrotask(() => this.root.value?.querySelector<HTMLElement>(selector)?.focus());
  }

  private async startRun(event: unknown): Promise<void> {
    if (this.isBusy) {
      return;
    }
    const { runs, run, onOpen } = this.props;
    this.isBusy = true;
    this.report('Starting…');
    try {
      const started = await runs.host.start(run.workflow_id, event);
      runs.put(started);
      this.text = null;
      this.started = started.id;
      this.report('Started.');
      this.redraw('.jp-PDFlow-result button');
      if (runs.host.openRun) {
        onOpen(started.id);
      }
    } catch (error) {
      this.report(actionErrorMessage(error));
    } finally {
      this.isBusy = false;
    }
  }

  private report(text: string): void {
    this.result = text;
    this.requestUpdate();
  }
}

/** The event of a run, and buttons that start another run with it. */
export const eventTab = directive(EventTab);
