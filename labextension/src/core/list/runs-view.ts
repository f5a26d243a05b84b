import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { keyed } from 'lit/directives/keyed.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { Component } from '../component';
import { button } from '../parts';
import { runPage } from '../run/run-page';
import { focusFirst } from '../focus';
import { CURRENT_ROW, rowOf } from './row-list';
import type { RunsPaneProps } from './runs-pane';
import { runsPane } from './runs-pane';

/** The properties of {@link runsView}. */
export interface RunsViewProps extends Omit<RunsPaneProps, 'onOpen' | 'opened'> {
  /** A run to open. If the host does not open runs itself, its page replaces the list. */
  opened?: string | null;
}

class RunsView extends Component<RunsViewProps> {
  private readonly container = createRef<HTMLElement>();
  /** The run whose page is shown in place of the list. */
  private page: string | null = null;
  private lastOpened: string | null = null;
  private isOpening = false;

  protected override start(): void {
    this.openAsked();
  }

  protected override propsChanged({ opened, status }: RunsViewProps): void {
    if (this.props.status !== undefined && this.props.status !== status) {
      this.page = null;
    }
    if (this.props.opened !== opened) {
      this.openAsked();
    }
  }

  protected template(): TemplateResult {
    const { page, lastOpened: opened } = this;
    return html`<div ${ref(this.container)}>
      <div class="jp-PDFlow-runs" ?hidden=${page !== null}>
        ${runsPane({ ...this.props, opened, onOpen: this.open })}
      </div>
      ${page === null ? nothing : this.detail(page)}
    </div>`;
  }

  private detail(id: string): TemplateResult {
    const { runs } = this.props;
    return html`<div class="jp-PDFlow-detail" @keydown=${this.onKeydown}>
      ${button('All runs', this.close, 'link back')} ${keyed(id, html`${runPage({ runs, id })}`)}
    </div>`;
  }

  private openAsked(): void {
    const { opened = null } = this.props;
    // A host may answer a request to open a run by setting the property.
    if (opened !== null && !this.isOpening) {
      this.open(opened);
    }
  }

  private readonly open = (id: string): void => {
    const { host } = this.props.runs;
    this.lastOpened = id;
    if (host.openRun) {
      this.isOpening = true;
      try {
        host.openRun(id);
      } finally {
        this.isOpening = false;
      }
    } else {
      this.page = id;
    }
    this.requestUpdate();
    this.focus('.jp-PDFlow-back');
  };

  private readonly close = (): void => {
    const { page } = this;
    this.page = null;
    this.requestUpdate();
    queueMicrotask(() => {
      const root = this.container.value;
      const row = page === null ? undefined : rowOf(root, page);
      if (row) {
        row.querySelector('button')?.focus();
      } else {
        this.focus(CURRENT_ROW, '.jp-PDFlow-list');
      }
    });
  };

  private readonly onKeydown = (event: KeyboardEvent): void => {
    const { target, key, defaultPrevented } = event;
    const isTyping = target instanceof Element && target.matches('input, textarea, select');
    if (key === 'Escape' && !isTyping && !defaultPrevented) {
      event.stopPropagation();
      this.close();
    }
  };

  /** Focus a part once it is drawn. */
  private focus(...selectors: string[]): void {
    queueMicrotask(() => {
      if (this.container.value) {
        focusFirst(this.container.value, ...selectors);
      }
    });
  }
}

/** The list of runs, with those that wait for a person first. */
export const runsView = directive(RunsView);
