import { Dialog } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import type { IStateDB } from '@jupyterlab/statedb';
import { Signal, type ISignal } from '@lumino/signaling';
import type { Workflow } from '../core/types';
import { errorMessage } from './api-client';
import { CellMarks } from './cell-marks';
import { EventMemory } from './event-memory';
import {
  fetchExecutedSteps,
  forgetExecutedSteps,
  ModeWatcher,
  runMagic,
  type MagicResult,
  type Mode
} from './kernel-mode';
import { insertLoadCell, showCell } from './notebook-cells';
import { NotebookDeployment } from './notebook-deployment';
import { warningsIn, type Place } from './messages';
import { showRefusal, showSuccess, showText, showWarning } from './notices';
import { showStepsInProduction } from './production-cells';
import { askForRun } from './run-dialog';
import { Saver } from './saver';
import type { IWorkflows } from './tokens';
import { versionLabel, type WorkflowFacts } from './toolbar-state';

type Kernel = Parameters<typeof runMagic>[0];

const LOAD = '%load_ext jupyter_pdflow';

/** Services of JupyterLab and of the panel that a notebook's workflow needs. */
export interface NotebookServices {
  workflows: IWorkflows;
  contents: Contents.IManager;
  /** Stores the last event of each notebook, or null to store none. */
  state: IStateDB | null;
}

/** The workflow of an open notebook: switches its mode, deploys it and starts its runs. */
export class NotebookWorkflow {
  private readonly modeWatcher: ModeWatcher;
  private readonly deployment: NotebookDeployment;
  private readonly marks: CellMarks;
  private readonly saver: Saver;
  private readonly events: EventMemory;
  private readonly _changed = new Signal<this, void>(this);
  private isBusy = false;

  /**
   * @param panel - the notebook
   * @param services - services of JupyterLab and of the panel
   */
  constructor(
    private readonly panel: NotebookPanel,
    private readonly services: NotebookServices
  ) {
    this.saver = new Saver(panel.context);
    this.events = new EventMemory(services.state);
    this.marks = new CellMarks(panel.content);
    this.deployment = new NotebookDeployment(panel, services.workflows, services.contents);
    this.deployment.changed.connect(() => this.onDeploymentChange());
    this.modeWatcher = new ModeWatcher(panel.sessionContext, () => {
      this.deployment.request();
      this._changed.emit();
    });
    panel.disposed.connect(() => {
      this.modeWatcher.dispose();
      this.deployment.dispose();
      Signal.clearData(this);
    });
  }

  /** What is known about the workflow. */
  get facts(): WorkflowFacts {
    const { current, hasSteps, isEdited, edits } = this.deployment;
    const { isBusy } = this;
    return { mode: this.mode, hasSteps, deployment: current, isEdited, edits, isBusy };
  }

  /** The mode; null if the kernel has not loaded the extension, undefined if it is not known. */
  get mode(): Mode | undefined {
    return this.modeWatcher.mode;
  }

  /** Emitted when what is known has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Read the mode from the kernel, and what is deployed from the server. */
  refresh(): void {
    this.modeWatcher.refresh();
    this.deployment.request();
  }

  /** Switch the mode. In production, an edited notebook is deployed again. */
  async switchTo(mode: 'production' | 'test'): Promise<void> {
    const kernel = this.panel.sessionContext.session?.kernel;
    if (!kernel || (mode === this.mode && mode === 'test')) {
      return;
    }
    if (mode === this.mode) {
      await (this.deployment.isEdited ? this.deploy() : undefined);
      return;
    }
    await this.attempt(`Not switched to ${mode}`, async () => {
      await (mode === 'test' ? this.test(kernel) : this.produce(kernel));
    });
    this.modeWatcher.refresh();
  }

  /** Save the notebook and deploy it, in either mode. */
  async deploy(): Promise<void> {
    await this.attempt('Not deployed', async () => {
      const workflow = await this.saveAndDeploy();
      showSuccess(`Deployed ${versionLabel(workflow)}.`);
    });
  }

  /** Load the extension into the kernel, and have the notebook do so too. */
  async load(): Promise<void> {
    const kernel = this.panel.sessionContext.session?.kernel;
    if (!kernel) {
      return;
    }
    await this.attempt('Workflows were not loaded', async () => {
      const result = await runMagic(kernel, LOAD);
      if (!result.ok) {
        throw new Error(loadAdvice(result, this.panel.sessionContext.kernelDisplayName));
      }
      insertLoadCell(this.panel, LOAD, Boolean(this.deployment.current?.workflow));
    });
    this.modeWatcher.refresh();
  }

  /** Ask for an event, start a run with it, and show the run. */
  async run(): Promise<void> {
    await this.attempt('The run was not started', async () => {
      const { path } = this.deployment;
      await this.deployment.reload();
      const choice = await askForRun(this.panel, this.facts, await this.events.get(path));
      if (!choice) {
        return;
      }
      await this.events.set(path, choice.input.text);
      const { workflows } = this.services;
      const id = choice.workflow ?? (await this.saveAndDeploy()).id;
      const run = await workflows.host.start(id, choice.input.value ?? {});
      workflows.open(run.id);
    });
  }

  private async test(kernel: Kernel): Promise<void> {
    const result = await runMagic(kernel, '%pdflow test');
    if (!result.ok) {
      throw new Error(result.text);
    }
    showSuccess('Test mode: step cells execute here.');
  }

  private async produce(kernel: Kernel): Promise<void> {
    await this.saver.save();
    if (!(await this.confirmUntested(kernel))) {
      return;
    }
    const result = await runMagic(kernel, '%pdflow production');
    if (!result.ok) {
      throw new Error(result.text);
    }
    warningsIn(result.text).forEach(showWarning);
    void showStepsInProduction(this.panel);
    const workflow = (await this.deployment.reload())?.workflow;
    const version = workflow ? versionLabel(workflow) : 'the notebook';
    showSuccess(`Deployed ${version}. Step cells show its latest run.`);
  }

  /** Ask whether to deploy steps whose code was edited after their last run in this kernel. */
  private async confirmUntested(kernel: Kernel): Promise<boolean> {
    this.deployment.compareNow();
    const executed = await fetchExecutedSteps(kernel);
    const names = this.deployment.code.steps
      .filter(({ name, source }) => (executed.get(name) ?? source) !== source)
      .map(({ name }) => name);
    if (names.length === 0) {
      return true;
    }
    const which = names.length === 1 ? `Step ${names[0]} was` : `Steps ${names.join(', ')} were`;
    const them = names.length === 1 ? 'its cell' : 'their cells';
    const { label } = await showText(
      'Deploy without a test?',
      `${which} edited after the last run in this kernel. Run ${them} to test the new code, or deploy it as it is.`,
      [
        Dialog.cancelButton(),
        Dialog.createButton({ label: GO_TO_CELL, className: 'jp-pdflow-also' }),
        Dialog.okButton({ label: DEPLOY })
      ]
    );
    if (label === GO_TO_CELL) {
      await this.show({ step: names[0] });
    }
    if (label !== DEPLOY) {
      return false;
    }
    await forgetExecutedSteps(kernel, names);
    return true;
  }

  private async saveAndDeploy(): Promise<Workflow> {
    await this.saver.save();
    const workflow = await this.services.workflows.client.deploy(this.deployment.path);
    workflow.warnings?.forEach(showWarning);
    await this.deployment.reload();
    return workflow;
  }

  /** Do something while the toolbar is busy, and say why if it fails. */
  private async attempt(failure: string, action: () => Promise<void>): Promise<void> {
    if (this.isBusy) {
      return;
    }
    this.setBusy(true);
    try {
      await action();
    } catch (error) {
      this.setBusy(false);
      await showRefusal(failure, errorMessage(error), place => void this.show(place));
    } finally {
      this.setBusy(false);
    }
  }

  /** Show a place that a message names. */
  private async show({ step, cell }: Place): Promise<void> {
    const found = this.deployment.code.steps.find(({ name }) => name === step);
    await showCell(this.panel, found?.index ?? (cell ?? 0) - 1);
  }

  private onDeploymentChange(): void {
    const { current, edits } = this.deployment;
    this.marks.show(edits, current?.workflow ? versionLabel(current.workflow) : '');
    this._changed.emit();
  }

  private setBusy(isBusy: boolean): void {
    this.isBusy = isBusy;
    this._changed.emit();
  }
}

const GO_TO_CELL = 'Go to cell';
const DEPLOY = 'Deploy anyway';

/** Return what to do if the extension can't be loaded. */
function loadAdvice({ text }: MagicResult, kernel: string): string {
  return /No module named '?jupyter_pdflow/.test(text)
    ? `The environment of the kernel ${kernel} does not have the package jupyter_pdflow. ` +
        'Run `%pip install jupyter_pdflow` in a cell, then press Load workflows again.'
    : text;
}
