import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import { Signal, type ISignal } from '@lumino/signaling';
import { Refresher } from '../core/refresher';
import type { Deployment, Version } from '../core/types';
import { cellTexts } from './notebook-cells';
import { compare, hasEdits, NO_EDITS, readCode, type Edits, type NotebookCode } from './step-code';
import type { IWorkflows } from './tokens';

const READ_DELAY_MS = 300;
const COMPARE_DELAY_MS = 300;
/** The server is not asked again this soon when the window gets the focus. */
const FOCUS_PAUSE_MS = 5000;

/** What is deployed of an open notebook, and how the notebook differs from it. */
export class NotebookDeployment {
  /** What the server knows, or null if it was not read. */
  current: Deployment | null = null;
  /** What production would run of the notebook as it is open. */
  code: NotebookCode = { setup: [], steps: [] };
  private source: Version | null = null;
  private found: Edits = NO_EDITS;
  private saves = 0;
  /** How often the notebook had been saved when the server was asked. */
  private readSaves = 0;
  private reads = 0;
  private readAt = 0;
  private readonly reader = new Refresher(() => this.read(), READ_DELAY_MS);
  private readonly comparer = new Refresher(() => this.compareSoon(), COMPARE_DELAY_MS);
  private readonly _changed = new Signal<this, void>(this);

  /**
   * @param panel - the notebook
   * @param workflows - reads what is deployed
   * @param contents - knows the notebook's path on the server
   */
  constructor(
    private readonly panel: NotebookPanel,
    private readonly workflows: Pick<IWorkflows, 'client' | 'host'>,
    private readonly contents: Contents.IManager
  ) {
    const { context } = panel;
    context.model.contentChanged.connect(() => this.comparer.request());
    context.saveState.connect((_, state) => this.onSave(state));
    context.pathChanged.connect(() => this.forget());
    window.addEventListener('focus', this.onFocus);
    void context.ready.then(() => this.comparer.now());
  }

  /** Emitted when what is known, or the notebook's code, has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The notebook's path, as the server names it. */
  get path(): string {
    return this.contents.localPath(this.panel.context.path);
  }

  /** Whether the notebook has any step cells. */
  get hasSteps(): boolean {
    return this.code.steps.length > 0;
  }

  /**
   * Whether the notebook differs from the newest version.
   *
   * What the server says about the saved file counts, and what differs in the notebook if that is
   * not saved yet.
   */
  get isEdited(): boolean {
    const isAhead = this.panel.context.model.dirty || this.saves !== this.readSaves;
    return Boolean(this.current?.edited) || (isAhead && hasEdits(this.found));
  }

  /** How the notebook differs from the newest version. */
  get edits(): Edits {
    return this.isEdited ? this.found : NO_EDITS;
  }

  /** Ask the server again, soon. */
  request(): void {
    this.reader.request();
  }

  /** Ask the server now, and return what it knows. */
  async reload(): Promise<Deployment | null> {
    await this.read();
    return this.current;
  }

  /** Compare the notebook as it is now. */
  compareNow(): void {
    if (this.panel.isDisposed) {
      return;
    }
    const hadSteps = this.hasSteps;
    this.code = readCode(cellTexts(this.panel.context.model));
    this.found = this.source ? compare(this.code, this.source.source) : NO_EDITS;
    if (this.hasSteps && !hadSteps) {
      this.reader.request();
    }
    this._changed.emit();
  }

  /** Stop following the notebook. */
  dispose(): void {
    window.removeEventListener('focus', this.onFocus);
    this.reader.dispose();
    this.comparer.dispose();
    Signal.clearData(this);
  }

  private compareSoon(): Promise<void> {
    this.compareNow();
    return Promise.resolve();
  }

  /** Ask the server, unless this is a notebook without steps that was never deployed. */
  private async read(): Promise<void> {
    if (this.panel.isDisposed || !(this.hasSteps || this.current?.workflow)) {
      return;
    }
    const { path, saves } = this;
    const request = ++this.reads;
    this.readAt = Date.now();
    try {
      const deployment = await this.workflows.client.deployment(path);
      const source = await this.sourceOf(deployment);
      if (request === this.reads && path === this.path) {
        [this.current, this.source, this.readSaves] = [deployment, source, saves];
      }
    } catch {
      // What was known stays; what a person then does says what is wrong.
    }
    this.compareNow();
  }

  private async sourceOf({ workflow }: Deployment): Promise<Version | null> {
    const { source } = this;
    if (!workflow || (source?.id === workflow.id && source.version === workflow.version)) {
      return workflow && source;
    }
    return this.workflows.host.source(workflow.id, workflow.version);
  }

  private onSave(state: string): void {
    if (state === 'completed') {
      this.saves++;
      this.reader.request();
    }
  }

  private forget(): void {
    this.current = this.source = null;
    this.compareNow();
    this.reader.request();
  }

  private readonly onFocus = (): void => {
    if (this.panel.isVisible && Date.now() - this.readAt > FOCUS_PAUSE_MS) {
      this.reader.request();
    }
  };
}
