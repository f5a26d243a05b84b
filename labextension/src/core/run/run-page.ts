import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { cache } from 'lit/directives/cache.js';
import { keyed } from 'lit/directives/keyed.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { repeat } from 'lit/directives/repeat.js';
import { Component, uniqueId } from '../component';
import { hasEnded, readErrorMessage } from '../formatting';
import { ApiError } from '../host';
import { LiveOutputs } from '../live-outputs';
import type { LiveRuns } from '../live-runs';
import { button, failure, loading } from '../parts';
import type { RunWatch } from '../run-watch';
import type { Email, HistoryEntry, Run, RunFile, Step } from '../types';
import { codeView } from '../values/code-view';
import { errorView } from '../values/error-view';
import { exportsView } from '../values/exports-view';
import { fileLink, filesView } from '../values/files-view';
import { answersOf, newestDecision } from './decisions';
import { emailsTab } from './emails-tab';
import { eventTab } from './event-tab';
import { historyTab } from './history-tab';
import { Loaded } from './loaded';
import { pauseBox } from './pause-box';
import { runActions } from './run-actions';
import { failedStep, runHead, runMore } from './run-head';
import { stepView } from './step-view';
import type { Tab } from './tabs';
import { tabs } from './tabs';
import { timelineView } from './timeline-view';

/** The properties of {@link runPage}. */
export interface RunPageProps {
  runs: LiveRuns;
  id: string;
}

type TabKey = 'code' | 'emails' | 'event' | 'exports' | 'history' | 'output';

/** Shows a run, or one that was started from its page if the host can't open another page. */
class RunPage extends Component<RunPageProps> {
  private shown: string | null = null;

  protected override propsChanged({ id }: RunPageProps): void {
    if (id !== this.props.id) {
      this.shown = null;
    }
  }

  protected template(): unknown {
    const { runs, id } = this.props;
    const shown = this.shown ?? id;
    const back =
      shown === id
        ? nothing
        : button('Back to the first run', () => this.show(null), 'link jp-PDFlow-back');
    const onOpen = (other: string): void => this.open(other);
    const body = runBody({ runs, id: shown, onOpen });
    // Only a template begins anew with another key, a part alone does not.
    return html`${back}${keyed(shown, html`${body}`)}`;
  }

  private open(id: string): void {
    const { host } = this.props.runs;
    if (host.openRun) {
      host.openRun(id);
    } else {
      this.show(id);
    }
  }

  private show(id: string | null): void {
    this.shown = id;
    this.requestUpdate();
  }
}

/** A run: what it asks, its steps on one time axis, and what is known about it. */
export const runPage = directive(RunPage);

interface RunBodyProps extends RunPageProps {
  /** Opens another run. */
  onOpen: (id: string) => void;
}

class RunBody extends Component<RunBodyProps> {
  private readonly root = createRef<HTMLElement>();
  private readonly tabsId = uniqueId();
  private watch!: RunWatch;
  private outputs!: LiveOutputs;
  private history!: Loaded<HistoryEntry[]>;
  private emails!: Loaded<Email[]>;
  private files!: Loaded<RunFile[]>;
  private tab: TabKey = 'output';
  /** The step that is selected, null for all, or undefined if the person has not chosen yet. */
  private step: string | null | undefined;
  private isFollowed = '';

  protected override start(): void {
    const { runs, id } = this.props;
    const { host } = runs;
    const onUpdate = this.requestUpdate;
    this.isFollowed = '';
    this.outputs = new LiveOutputs(host, id, onUpdate, {
      isShown: () => this.tab === 'output' && this.isVisible
    });
    this.history = new Loaded({ read: () => host.history(id), onUpdate });
    this.emails = new Loaded({
      read: () => host.emails(id),
      onUpdate,
      isPending: emails => emails.some(({ status }) => status === 'queued')
    });
    this.files = new Loaded({ read: () => host.files(id), onUpdate });
    this.watch = runs.watch(id, () => this.onRun());
  }

  protected override propsChanged({ runs }: RunBodyProps): void {
    if (runs !== this.props.runs) {
      this.stop();
      this.start();
    }
  }

  protected override stop(): void {
    [this.watch, this.outputs, this.history, this.emails, this.files].forEach(each =>
      each.dispose()
    );
  }

  protected template(): unknown {
    const { run } = this.watch;
    if (run === null || this.isGone) {
      return this.watch.error === null
        ? html`<div class="jp-PDFlow-notices">${loading()}</div>`
        : this.notice(readErrorMessage(this.watch.error));
    }
    const stale =
      this.watch.error === null
        ? nothing
        : this.notice(`${readErrorMessage(this.watch.error)} The run shown may be out of date.`);
    return html`${stale}
      <article
        class="jp-PDFlow-run"
        data-status=${run.status}
        ?data-computing=${run.pause === null && !hasEnded(run)}
        ${ref(this.root)}
      >
        ${this.page(run)}
      </article>`;
  }

  /** Whether the page is drawn, and not in a tab behind another one. */
  private get isVisible(): boolean {
    const root: Partial<Pick<HTMLElement, 'checkVisibility'>> | undefined = this.root.value;
    return root?.checkVisibility?.() ?? true;
  }

  private get isGone(): boolean {
    const { error } = this.watch;
    return error instanceof ApiError && error.status === 404;
  }

  private page(run: Run): unknown {
    const { runs } = this.props;
    const { host } = runs;
    return html`${runHead({ host, run, onAgain: this.onAgain })}
      <section class="jp-PDFlow-ask" data-kind=${run.pause?.kind ?? nothing}>
        ${pauseBox(run.pause)} ${runActions({ runs, run })}
      </section>
      ${run.pause === null ? newestDecision(answersOf(run)) : nothing} ${failedStep(host, run)}
      ${timelineView({
        host,
        run,
        history: this.history.value ?? [],
        selected: this.selected(run),
        onSelect: step => this.select(step)
      })}
      ${this.tabs(run)} ${runMore(run)}`;
  }

  private tabs(run: Run): TemplateResult {
    const exported = run.steps.reduce((sum, step) => sum + Object.keys(step.exports).length, 0);
    const list: Tab<TabKey>[] = [
      { key: 'output', label: 'Output' },
      { key: 'exports', label: 'Exports', count: exported },
      { key: 'event', label: 'Event' },
      { key: 'emails', label: 'Emails', count: this.emails.value?.length },
      { key: 'history', label: 'History' },
      { key: 'code', label: 'Code' }
    ];
    return tabs({
      id: this.tabsId,
      name: 'About the run',
      tabs: list,
      selected: this.tab,
      onSelect: key => this.openTab(key),
      // What is entered or unfolded in a tab stays while another one is shown.
      content: cache(this.content(run))
    });
  }

  private content(run: Run): unknown {
    const { runs, onOpen } = this.props;
    switch (this.tab) {
      case 'exports':
        return this.exportsTab(run);
      case 'event':
        return html`${eventTab({ runs, run, onOpen })}`;
      case 'emails':
        return html`${this.emails.show('The emails', emails =>
          emailsTab({ host: runs.host, emails, onChange: () => this.emails.reload() })
        )}`;
      case 'history':
        return html`${this.history.show('The history', history => historyTab({ history }))}`;
      case 'code':
        return html`${codeView(runs.host, run)}`;
      default:
        return this.outputTab(run);
    }
  }

  private outputTab(run: Run): unknown {
    const { host } = this.props.runs;
    const selected = this.selected(run);
    const steps = run.steps.filter(({ name }) => selected === null || name === selected);
    const { error } = this.outputs;
    const notice =
      error === null
        ? nothing
        : failure(`The outputs can’t be shown. ${readErrorMessage(error)}`, () =>
            this.outputs.follow(run)
          );
    const orphan =
      run.error === null || run.steps.some(step => step.error !== null)
        ? nothing
        : errorView(run.error);
    const draw = (step: Step): TemplateResult =>
      html`<li>${stepView({ host, run, step, outputs: this.outputs.of(step.name) })}</li>`;
    return html`${this.chosen(run)} ${notice} ${orphan}
      <ol class="jp-PDFlow-steps" role="list">
        ${repeat(steps, ({ name }) => name, draw)}
      </ol>
      ${this.fileList(run)}`;
  }

  private fileList({ id }: Run): unknown {
    const { host } = this.props.runs;
    const { value, error } = this.files;
    const isEmpty = error === null && (value === null || value.length === 0);
    return isEmpty
      ? nothing
      : this.files.show('The files', files => html`<div>${filesView(host, id, files)}</div>`);
  }

  private exportsTab(run: Run): unknown {
    const { host } = this.props.runs;
    const selected = this.selected(run);
    const steps = run.steps
      .filter(({ name }) => selected === null || name === selected)
      .filter(step => Object.keys(step.exports).length > 0);
    const resolve = (text: string): string | null => fileLink(host, run.id, text);
    const list = steps.map(
      step =>
        html`<section class="jp-PDFlow-exports">
          <h4>${step.name}</h4>
          ${exportsView(step.exports, resolve)}
        </section>`
    );
    const none = html`<p class="jp-PDFlow-hint">Nothing was exported.</p>`;
    return html`${this.chosen(run)} ${steps.length === 0 ? none : list}`;
  }

  /** Return which step is shown, and how to get back to all. */
  private chosen(run: Run): unknown {
    const selected = this.selected(run);
    if (selected === null) {
      return nothing;
    }
    return html`<p class="jp-PDFlow-chosen">
      Only step <strong>${selected}</strong> is shown.
      ${button('Show all steps', () => this.showAll(), 'link')}
    </p>`;
  }

  /** The failed step is shown first, until another one is chosen. */
  private selected(run: Run): string | null {
    if (this.step !== undefined) {
      return this.step;
    }
    return run.steps.find(({ status }) => status === 'failed')?.name ?? null;
  }

  private select(step: string | null): void {
    this.step = step;
    if (this.tab !== 'exports') {
      this.tab = 'output';
    }
    this.requestUpdate();
  }

  /** The button goes, so that the focus moves to the tab. */
  private showAll(): void {
    this.select(null);
    queueMicrotask(() => this.focus('[role=tab][aria-selected=true]'));
  }

  private openTab(tab: TabKey): void {
    this.tab = tab;
    this.requestUpdate();
  }

  private readonly onAgain = (): void => {
    this.openTab('event');
    queueMicrotask(() => this.focus('.jp-PDFlow-event .jp-PDFlow-buttons > *'));
  };

  private focus(selector: string): void {
    this.root.value?.querySelector<HTMLElement>(selector)?.focus();
  }

  /** Read what belongs to the run, as it has changed. */
  private onRun(): void {
    const { run } = this.watch;
    if (run !== null && this.isFollowed !== run.updated_at) {
      this.isFollowed = run.updated_at;
      this.outputs.follow(run);
      this.history.want(run.updated_at);
      this.emails.want(run.updated_at);
      this.files.want(executionKey(run));
    }
    this.requestUpdate();
  }

  private notice(message: string): TemplateResult {
    const retry = (): void => void this.watch.reload();
    return html`<div class="jp-PDFlow-notices">${failure(message, retry)}</div>`;
  }
}

const runBody = directive(RunBody);

/** Return a key that changes when a step starts or ends. */
function executionKey(run: Run): string {
  return run.steps.map(({ name, runs, status }) => [name, runs, status].join(' ')).join();
}
