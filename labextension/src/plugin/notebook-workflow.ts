import { Notification } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import type { IStateDB } from '@jupyterlab/statedb';
import { Signal, type ISignal } from '@lumino/signaling';
import { askJson } from './dialogs';
import { ModeWatch, sayMagic, type Mode } from './kernel-mode';
import { Saver } from './saver';
import { wordsOf } from './api-client';
import type { Workflows } from './tokens';

const STATE = 'jupyter-pdflow:events';

/** What a notebook's workflow needs from JupyterLab. */
export interface Places {
  workflows: Workflows;
  contents: Contents.IManager;
  /** Where the last events are remembered; without it they are not. */
  state: IStateDB | null;
}

/** The workflow in an open notebook: its mode, the switch between them, and its runs. */
export class NotebookWorkflow {
  private readonly watch: ModeWatch;
  private readonly saver: Saver;
  private readonly _changed = new Signal<this, void>(this);
  private _isBusy = false;

  /**
   * @param panel - the notebook
   * @param places - what it needs
   */
  constructor(
    private readonly panel: NotebookPanel,
    private readonly places: Places
  ) {
    this.saver = new Saver(panel.context);
    this.watch = new ModeWatch(panel.sessionContext, () => this._changed.emit());
    panel.disposed.connect(() => {
      this.watch.dispose();
      Signal.clearData(this);
    });
  }

  /** The mode; null where the kernel has not loaded the extension. */
  get mode(): Mode {
    return this.watch.mode;
  }

  /** Whether a switch is under way. */
  get isBusy(): boolean {
    return this._isBusy;
  }

  /** Emitted when any of this has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Ask the kernel for the mode, soon. */
  refresh(): void {
    this.watch.ask();
  }

  /** Save the notebook and switch its session; says what came of it. */
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
      const said = await sayMagic(kernel, `%pdflow ${mode}`);
      if (said.ok) {
        Notification.success(said.text, { autoClose: 5000 });
      } else {
        refuse(`Not switched to ${mode}: ${said.text}`);
      }
    } catch (error) {
      refuse(`Not switched to ${mode}: ${wordsOf(error)}`);
    } finally {
      this.setBusy(false);
      this.watch.ask();
    }
  }

  /** Ask for an event, start a run with it, and show it in the panel. */
  async run(): Promise<void> {
    const { server } = this.places.workflows;
    try {
      const path = this.places.contents.localPath(this.panel.context.path);
      const workflow = await server.workflowOf(path);
      if (!workflow) {
        refuse('This notebook is not deployed yet: switch it to production first.');
        return;
      }
      const typed = await askJson(
        `Run ${workflow.name}`,
        `The event, which steps read as pd.steps["trigger"]["event"] (JSON). Version ${workflow.version}.`,
        'Run',
        await this.lastEvent(path)
      );
      if (typed) {
        await this.remember(path, typed.text);
        const run = await server.start(workflow, typed.value ?? {});
        this.places.workflows.open(run.id);
      }
    } catch (error) {
      refuse(`The run was not started: ${wordsOf(error)}`);
    }
  }

  private async lastEvent(path: string): Promise<string> {
    const events = await this.events();
    const text = events[path];
    return typeof text === 'string' ? text : '{}';
  }

  private async remember(path: string, text: string): Promise<void> {
    const events = await this.events();
    await this.places.state?.save(STATE, { ...events, [path]: text });
  }

  private async events(): Promise<Record<string, string>> {
    const events = await this.places.state?.fetch(STATE);
    return (events ?? {}) as Record<string, string>;
  }

  private setBusy(isBusy: boolean): void {
    this._isBusy = isBusy;
    this._changed.emit();
  }
}

function refuse(words: string): void {
  Notification.error(words, { autoClose: false });
}
