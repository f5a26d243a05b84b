import type { JupyterFrontEnd } from '@jupyterlab/application';
import { InputDialog, Notification, type ICommandPalette } from '@jupyterlab/apputils';
import { askJson } from './dialogs';
import { saveExecuted } from './executed-notebook';
import { runsIcon } from './icon';
import { wordsOf } from './api-client';
import { CommandIDs, type Workflows } from './tokens';
import type { WaitingRun } from './waiting-runs';

/** What the palette calls all of this. */
export const CATEGORY = 'Workflow Runs';

/** Add the commands that need no notebook. */
export function addRunCommands(
  app: JupyterFrontEnd,
  workflows: Workflows,
  palette: ICommandPalette | null
): void {
  const { commands } = app;
  const { waiting } = workflows;
  const isEnabled = (): boolean => waiting.any;
  commands.addCommand(CommandIDs.open, {
    label: 'Show Workflow Runs',
    caption: 'Show the panel of workflow runs',
    icon: runsIcon,
    execute: args => workflows.open(typeof args['run'] === 'string' ? args['run'] : undefined)
  });
  commands.addCommand(CommandIDs.openNotebook, {
    label: 'Open a Run as an Executed Notebook',
    isVisible: () => false,
    execute: async args => {
      if (typeof args['run'] === 'string') {
        await openExecuted(app, workflows, args['run']);
      }
    }
  });
  commands.addCommand(CommandIDs.resume, {
    label: () => `Resume the Latest Waiting Run${named(waiting.latest)}…`,
    isEnabled,
    execute: () => settle(workflows, resume)
  });
  commands.addCommand(CommandIDs.cancel, {
    label: () => `Cancel the Latest Waiting Run${named(waiting.latest)}…`,
    isEnabled,
    execute: () => settle(workflows, cancel)
  });
  waiting.changed.connect(() => {
    commands.notifyCommandChanged(CommandIDs.resume);
    commands.notifyCommandChanged(CommandIDs.cancel);
  });
  for (const command of [CommandIDs.open, CommandIDs.resume, CommandIDs.cancel]) {
    palette?.addItem({ command, category: CATEGORY });
  }
}

type Settle = (workflows: Workflows, run: WaitingRun) => Promise<string | null>;

/** Settle the latest run that waits, and say what came of it. */
async function settle(workflows: Workflows, act: Settle): Promise<void> {
  const run = workflows.waiting.latest;
  if (!run) {
    return;
  }
  try {
    const words = await act(workflows, run);
    if (words !== null) {
      Notification.success(words, { autoClose: 5000 });
    }
  } catch (error) {
    Notification.error(`${run.workflow}: ${wordsOf(error)}`, { autoClose: false });
  }
}

async function resume({ host }: Workflows, run: WaitingRun): Promise<string | null> {
  const label = 'Data for the next steps (JSON, may be left empty)';
  const typed = await askJson(`Resume ${run.workflow} at step ${run.step}`, label, 'Resume');
  if (!typed) {
    return null;
  }
  await host.resume(run.id, typed.value);
  return `Resumed: ${run.workflow} goes on from step ${run.step}.`;
}

async function cancel({ host }: Workflows, run: WaitingRun): Promise<string | null> {
  const { button, value } = await InputDialog.getText({
    title: `Cancel ${run.workflow} at step ${run.step}`,
    label: 'Reason (may be left empty)',
    okLabel: 'Cancel the run',
    cancelLabel: 'Back'
  });
  if (!button.accept) {
    return null;
  }
  await host.cancel(run.id, value?.trim() ? value.trim() : null);
  return `Canceled: ${run.workflow} ends at step ${run.step}.`;
}

function named(run: WaitingRun | undefined): string {
  return run ? ` (${run.workflow}, step ${run.step})` : '';
}

async function openExecuted(app: JupyterFrontEnd, workflows: Workflows, id: string): Promise<void> {
  try {
    const { contents } = app.serviceManager;
    const path = await saveExecuted(id, workflows.host, workflows.server, contents);
    await app.commands.execute('docmanager:open', { path });
  } catch (error) {
    Notification.error(`The run can't be opened as a notebook: ${wordsOf(error)}`, {
      autoClose: false
    });
  }
}
