import { button, cls, el, setVisible } from './dom';
import { fileLink, FilesView } from './files-view';
import { readErrorMessage } from './formatting';
import type { Host } from './host';
import { ApiError } from './host';
import { PauseBox } from './pause-box';
import { Refresher } from './refresher';
import { RunActions } from './run-actions';
import { RunHeader } from './run-header';
import { StepView } from './step-view';
import type { Output, Run, RunChange } from './types';
import { errorView, failureNode, loadingNode, treeView } from './view-parts';

/** Options of a {@link RunView}. */
export interface RunViewOptions {
  /** The only step to show. */
  step?: string;
}

const DELAY_MS = 60;

/** A live view of a run, or of one of its steps, with buttons to resume and cancel it. */
export class RunView {
  private readonly frame = el('article', { class: 'run', hidden: true });
  private readonly notices = el('div', { class: 'notices' }, loadingNode());
  private readonly header: RunHeader;
  private readonly pause = new PauseBox();
  private readonly actions: RunActions;
  private readonly error = errorView();
  private readonly event = treeView();
  private readonly steps = new Map<string, StepView>();
  private readonly list: HTMLElement;
  private readonly outputsNotice = el('div', {});
  private readonly refresher: Refresher;
  private readonly unsubscribe: () => void;
  private run: Run | null = null;
  private readonly files: FilesView;
  private outputsKey = '';
  private filesKey = '';
  private disposed = false;

  /**
   * @param root - the element that contains the view
   * @param host - reads and changes runs
   * @param id - the run's id
   * @param options - what to show
   */
  constructor(
    root: HTMLElement,
    private readonly host: Host,
    private readonly id: string,
    private readonly options: RunViewOptions = {}
  ) {
    root.classList.add('jp-PDFlow');
    this.header = new RunHeader(id, host);
    this.actions = new RunActions(host, run => this.onAction(run));
    this.files = new FilesView(id, host);
    this.list = el(options.step === undefined ? 'ol' : 'div', { class: 'steps' });
    this.frame.append(...(options.step === undefined ? this.runParts() : this.stepParts()));
    root.append(this.notices, this.frame);
    this.refresher = new Refresher(() => this.load(), DELAY_MS);
    this.unsubscribe = host.onChange(change => this.onChange(change));
    void this.refresher.now();
  }

  /** Remove the view. */
  dispose(): void {
    this.disposed = true;
    this.unsubscribe();
    this.refresher.dispose();
    this.header.dispose();
    this.pause.dispose();
    this.steps.forEach(step => step.dispose());
    this.frame.remove();
    this.notices.remove();
  }

  /** Focus the run's title. */
  focus(): void {
    this.header.focus();
  }

  private runParts(): Node[] {
    return [
      this.header.node,
      this.pause.node,
      this.actions.node,
      this.error.node,
      el('h4', {}, 'Started with'),
      this.event.node,
      el('h4', {}, 'Steps'),
      this.outputsNotice,
      this.list,
      this.files.node
    ];
  }

  private stepParts(): Node[] {
    this.frame.classList.add(cls('only-step'));
    const about = el('p', { class: 'about' }, 'of run ', el('code', { class: 'id' }, this.id));
    if (this.host.openNotebook) {
      const label = 'Open as notebook';
      about.append(
        ' ',
        button(label, () => this.host.openNotebook?.(this.id), { class: 'link' })
      );
    }
    return [this.list, this.pause.node, this.actions.node, this.outputsNotice, about];
  }

  private onChange(change: RunChange | null): void {
    if (change === null || change.run_id === this.id) {
      this.refresher.request();
    }
  }

  /** Show the run that an action returned, and read the run again. */
  private onAction(run: Run | null): void {
    if (this.disposed) {
      return;
    }
    if (run !== null) {
      this.draw(run);
    }
    this.refresher.request();
  }

  private async load(): Promise<void> {
    try {
      const run = await this.host.get(this.id);
      if (!this.disposed) {
        this.notices.replaceChildren();
        this.draw(run);
        await Promise.all([this.loadOutputs(run), this.loadFiles(run)]);
      }
    } catch (error) {
      if (!this.disposed) {
        this.showFailure(error);
      }
    }
  }

  private showFailure(error: unknown): void {
    const isGone = error instanceof ApiError && error.status === 404;
    const message = readErrorMessage(error);
    const isShown = this.run !== null && !isGone;
    const retry = (): void => {
      this.notices.replaceChildren(loadingNode());
      void this.refresher.now();
    };
    this.notices.replaceChildren(
      failureNode(isShown ? `${message} The run shown may be out of date.` : message, retry)
    );
    setVisible(this.frame, isShown);
  }

  private draw(run: Run): void {
    if (this.run !== null && run.updated_at < this.run.updated_at) {
      return;
    }
    this.run = run;
    const { step } = this.options;
    const isPausedHere = step === undefined || run.pause?.step === step;
    this.header.update(run);
    this.pause.update(isPausedHere ? run.pause : null);
    this.actions.update(isPausedHere && (step === undefined || run.pause) ? run : null);
    this.error.update(run.error !== null && !stepShowsError(run) ? run.error : null);
    this.event.update({ event: run.event });
    this.drawSteps(run);
    this.frame.dataset.status = run.status;
    setVisible(this.frame, true);
  }

  private drawSteps(run: Run): void {
    const { step: onlyStep } = this.options;
    for (const step of run.steps.filter(each => onlyStep === undefined || each.name === onlyStep)) {
      let view = this.steps.get(step.name);
      if (view === undefined) {
        const tag = onlyStep === undefined ? 'li' : 'div';
        const resolveLink = (text: string): string | null => fileLink(this.host, this.id, text);
        view = new StepView(step.name, this.host, tag, resolveLink);
        this.steps.set(step.name, view);
        this.list.append(view.node);
      }
      view.update(step, run);
    }
    if (this.steps.size === 0) {
      this.list.replaceChildren(
        el('p', { class: 'empty' }, `The run has no step ${onlyStep ?? ''}.`.replace(' .', '.'))
      );
    }
  }

  /** Read the outputs if a step has started or ended since the last read. */
  private async loadOutputs(run: Run): Promise<void> {
    const key = executionKey(run);
    if (key === '' || key === this.outputsKey) {
      return;
    }
    try {
      const outputs = await this.host.outputs(this.id);
      if (!this.disposed) {
        this.outputsKey = key;
        this.outputsNotice.replaceChildren();
        this.steps.forEach((view, name) =>
          view.updateOutputs(withoutStepError(outputs[name] ?? [], run, name))
        );
      }
    } catch (error) {
      if (!this.disposed) {
        this.showOutputsFailure(readErrorMessage(error));
      }
    }
  }

  /** Read the files if a step has started or ended since the last read. */
  private async loadFiles(run: Run): Promise<void> {
    const key = executionKey(run);
    if (key === '' || key === this.filesKey || this.options.step !== undefined) {
      return;
    }
    try {
      const files = await this.host.files(this.id);
      if (!this.disposed) {
        this.filesKey = key;
        this.files.update(files);
      }
    } catch (error) {
      if (!this.disposed) {
        this.files.showFailure(readErrorMessage(error), () => void this.refresher.now());
      }
    }
  }

  private showOutputsFailure(message: string): void {
    const retry = (): void => {
      this.outputsNotice.replaceChildren();
      void this.refresher.now();
    };
    this.outputsNotice.replaceChildren(
      failureNode(`The outputs can't be shown. ${message}`, retry)
    );
  }
}

/** Return a key that changes when a step starts or ends. It is empty if no step has started. */
function executionKey(run: Run): string {
  const steps = run.steps.filter(step => step.started_at !== null);
  return steps.map(step => [step.name, step.runs, step.status].join(' ')).join();
}

/** Return whether one of the steps shows the run's error. */
function stepShowsError(run: Run): boolean {
  return run.steps.some(step => step.error !== null);
}

/** Return a step's outputs without its error, which the step shows itself. */
function withoutStepError(outputs: Output[], run: Run, name: string): Output[] {
  const failed = run.steps.some(step => step.name === name && step.error !== null);
  return failed ? outputs.filter(output => output.output_type !== 'error') : outputs;
}
