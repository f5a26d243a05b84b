import type { JupyterFrontEnd } from '@jupyterlab/application';
import { InputDialog, Notification, type ICommandPalette } from '@jupyterlab/apputils';
import { asks } from '../core/run/decisions';
import { errorMessage } from './api-client';
import { promptJson } from './dialogs';
import { runsIcon } from './icon';
import { CommandIDs, type IWorkflows } from './tokens';
import type { WaitingRun } from './waiting-runs';

/** The category of the commands in the palette. */
export const CATEGORY = 'Workflow Runs';

/** Add the commands that do not need a notebook. */
export function addRunCommands(
  app: JupyterFrontEnd,
  workflows: IWorkflows,
  palette: ICommandPalette | null
): void {
  const { commands } = app;
  const { waiting } = workflows;
  const isEnabled = (): boolean => waiting.hasAny;
  commands.addCommand(CommandIDs.open, {
    label: 'Show Workflow Runs',
    caption: 'Show the panel of workflow runs',
    icon: runsIcon,
    execute: async args => {
      // As soon as a command has begun, the palette gives the focus back to the notebook.
      await new Promise(resolve => setTimeout(resolve));
      workflows.open(typeof args['run'] === 'string' ? args['run'] : undefined);
    }
  });
  commands.addCommand(CommandIDs.openRun, {
    label: 'Open a Workflow Run…',
    caption: 'Open the page of a run by its id',
    icon: runsIcon,
    execute: async args => {
      const run = typeof args['run'] === 'string' ? args['run'] : await promptId();
      if (run) {
        workflows.open(run);
      }
    }
  });
  commands.addCommand(CommandIDs.resume, {
    label: () => `Resume the Latest Waiting Run${runSuffix(waiting.latest)}…`,
    isEnabled,
    execute: () => settleLatest(workflows, resume)
  });
  commands.addCommand(CommandIDs.cancel, {
    label: () => `Cancel the Latest Waiting Run${runSuffix(waiting.latest)}…`,
    isEnabled,
    execute: () => settleLatest(workflows, cancel)
  });
  waiting.changed.connect(() => {
    commands.notifyCommandChanged(CommandIDs.resume);
    commands.notifyCommandChanged(CommandIDs.cancel);
  });
  for (const command of [
    CommandIDs.open,
    CommandIDs.openRun,
    CommandIDs.resume,
    CommandIDs.cancel
  ]) {
    palette?.addItem({ command, category: CATEGORY });
  }
}

type SettleAction = (workflows: IWorkflows, run: WaitingRun) => Promise<string | null>;

/** Resume or cancel the latest waiting run, and notify the user of the result. */
async function settleLatest(workflows: IWorkflows, act: SettleAction): Promise<void> {
  const run = workflows.waiting.latest;
  if (!run) {
    return;
  }
  try {
    const message = await act(workflows, run);
    if (message !== null) {
      Notification.success(message, { autoClose: 5000 });
    }
  } catch (error) {
    Notification.error(`${run.workflow}: ${errorMessage(error)}`, { autoClose: false });
  }
}

async function resume(workflows: IWorkflows, run: WaitingRun): Promise<string | null> {
  const { host } = workflows;
  const { pause } = await host.get(run.id);
  if (asks(pause)) {
    // The panel has the question and its form.
    workflows.open(run.id);
    return null;
  }
  const label = 'Data for the next steps (JSON, optional)';
  const input = await promptJson(`Resume ${run.workflow} at step ${run.step}`, label, 'Resume');
  if (!input) {
    return null;
  }
  await host.resume(run.id, input.value, null, pause?.since);
  return `Resumed: ${run.workflow} continues from step ${run.step}.`;
}

async function cancel({ host }: IWorkflows, run: WaitingRun): Promise<string | null> {
  const { button, value } = await InputDialog.getText({
    title: `Cancel ${run.workflow} at step ${run.step}`,
    label: 'Reason (optional)',
    okLabel: 'Cancel the run',
    cancelLabel: 'Back'
  });
  if (!button.accept) {
    return null;
  }
  await host.cancel(run.id, value?.trim() ? value.trim() : null);
  return `Canceled: ${run.workflow} ends at step ${run.step}.`;
}

function runSuffix(run: WaitingRun | undefined): string {
  const title = run?.title ? `: ${run.title}` : '';
  return run ? ` (${run.workflow}, step ${run.step}${title})` : '';
}

/** Ask for the id of a run. Returns null if none was entered. */
async function promptId(): Promise<string | null> {
  const title = 'Open a Workflow Run';
  const { button, value } = await InputDialog.getText({ title, label: 'Id of the run' });
  return button.accept ? value?.trim() || null : null;
}
