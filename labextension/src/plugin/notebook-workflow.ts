import { Notification } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import type { IStateDB } from '@jupyterlab/statedb';
import { Signal, type ISignal } from '@lumino/signaling';
import { errorMessage } from './api-client';
import { promptJson } from './dialogs';
import { ModeWatcher, runMagic, type Mode } from './kernel-mode';
import { Saver } from './saver';
import type { IWorkflows } from './tokens';

const EVENTS_KEY = 'jupyter-pdflow:events';

/** Services of JupyterLab and of the panel that a notebook's workflow needs. */
export interface NotebookServices {
  workflows: IWorkflows;
  contents: Contents.IManager;
  /** Stores the last event of each notebook, or null to store none. */
  state: IStateDB | null;
}

/** The workflow of an open notebook: switches its mode and starts its runs. */
export class NotebookWorkflow {
  private readonly modeWatcher: ModeWatcher;
  private readonly saver: Saver;
  private readonly _changed = new Signal<this, void>(this);
  private _isBusy = false;

  /**
   * @param panel - the notebook
   * @param services - services of JupyterLab and of the panel
   */
  constructor(
    private readonly panel: NotebookPanel,
    private readonly services: NotebookServices
  ) {
    this.saver = new Saver(panel.context);
    this.modeWatcher = new ModeWatcher(panel.sessionContext, () => this._changed.emit());
    panel.disposed.connect(() => {
      this.modeWatcher.dispose();
      Signal.clearData(this);
    });
  }

  /** The mode, or null if the kernel has not loaded the extension. */
  get mode(): Mode {
    return this.modeWatcher.mode;
  }

  /** Whether the mode is changing. */
  get isBusy(): boolean {
    return this._isBusy;
  }

  /** Emitted when the mode or `isBusy` has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Read the mode from the kernel. */
  refresh(): void {
    this.modeWatcher.refresh();
  }

  /** Switch the mode and notify the user of the result. The notebook is saved before a deploy. */
  async switchTo(mode: 'production' | 'test'): Promise<void> {
    const kernel = this.panel.sessionContext.session?.kernel;
    if (!kernel || this._isBusy) {
      return;
    }
    this.setBusy(true);
    try {
      if (mode === 'production') {
        await this.saver.save();
      }
      const result = await runMagic(kernel, `%pdflow ${mode}`);
      if (result.ok) {
        Notification.success(result.text, { autoClose: 5000 });
      } else {
        showError(`Not switched to ${mode}: ${result.text}`);
      }
    } catch (error) {
      showError(`Not switched to ${mode}: ${errorMessage(error)}`);
    } finally {
      this.setBusy(false);
      this.modeWatcher.refresh();
    }
  }

  /** Ask for an event, start a run with it, and show the run in the panel. */
  async run(): Promise<void> {
    const { client } = this.services.workflows;
    try {
      const path = this.services.contents.localPath(this.panel.context.path);
      const workflow = await client.findWorkflow(path);
      if (!workflow) {
        showError('This notebook is not deployed. Switch it to production first.');
        return;
      }
      const input = await promptJson(
        `Run ${workflow.name}`,
        `Event (JSON). Steps read it as pd.steps["trigger"]["event"]. Version ${workflow.version}.`,
        'Run',
        await this.lastEventText(path)
      );
      if (input) {
        await this.saveEventText(path, input.text);
        const run = await client.startRun(workflow, input.value ?? {});
        this.services.workflows.open(run.id);
      }
    } catch (error) {
      showError(`The run was not started: ${errorMessage(error)}`);
    }
  }

  private async lastEventText(path: string): Promise<string> {
    const events = await this.events();
    const text = events[path];
    return typeof text === 'string' ? text : '{}';
  }

  private async saveEventText(path: string, text: string): Promise<void> {
    const events = await this.events();
    await this.services.state?.save(EVENTS_KEY, { ...events, [path]: text });
  }

  private async events(): Promise<Record<string, string>> {
    const events = await this.services.state?.fetch(EVENTS_KEY);
    return (events ?? {}) as Record<string, string>;
  }

  private setBusy(isBusy: boolean): void {
    this._isBusy = isBusy;
    this._changed.emit();
  }
}

function showError(message: string): void {
  Notification.error(message, { autoClose: false });
}
