import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { runIcon } from '@jupyterlab/ui-components';
import { IStateDB } from '@jupyterlab/statedb';
import { CATEGORY } from './commands';
import { NotebookToolbars } from './notebook-toolbars';
import type { NotebookWorkflow } from './notebook-workflow';
import { CommandIDs, IWorkflows, PluginIDs } from './tokens';

/** The mode switch and the Run button in the toolbars of notebooks, and their commands. */
export const notebookPlugin: JupyterFrontEndPlugin<void> = {
  id: PluginIDs.notebook,
  description: 'Switches notebooks between test and production, and starts runs.',
  autoStart: true,
  requires: [IWorkflows, INotebookTracker],
  optional: [IToolbarWidgetRegistry, ICommandPalette, IStateDB],
  activate: (
    app: JupyterFrontEnd,
    workflows: IWorkflows,
    tracker: INotebookTracker,
    toolbarRegistry: IToolbarWidgetRegistry | null,
    palette: ICommandPalette | null,
    state: IStateDB | null
  ) => {
    const { contents } = app.serviceManager;
    const notebookToolbars = new NotebookToolbars({ workflows, contents, state });
    toolbarRegistry?.addFactory<NotebookPanel>(
      'Notebook',
      'pdflow-mode',
      notebookToolbars.makeSwitch
    );
    toolbarRegistry?.addFactory<NotebookPanel>(
      'Notebook',
      'pdflow-run',
      notebookToolbars.makeRunButton
    );
    addNotebookCommands(app, palette, () => {
      const panel = tracker.currentWidget;
      return panel ? notebookToolbars.workflowOf(panel) : null;
    });
  }
};

function addNotebookCommands(
  app: JupyterFrontEnd,
  palette: ICommandPalette | null,
  current: () => NotebookWorkflow | null
): void {
  const { commands } = app;
  commands.addCommand(CommandIDs.test, {
    label: 'Switch This Notebook to Test',
    isEnabled: () => current()?.mode === 'production',
    execute: () => current()?.switchTo('test')
  });
  commands.addCommand(CommandIDs.production, {
    label: 'Save, Deploy and Switch This Notebook to Production',
    isEnabled: () => (current()?.mode ?? null) !== null,
    execute: () => current()?.switchTo('production')
  });
  commands.addCommand(CommandIDs.run, {
    label: 'Start a Run of This Notebook…',
    icon: runIcon,
    isEnabled: () => current()?.mode === 'production',
    execute: () => current()?.run()
  });
  for (const command of [CommandIDs.run, CommandIDs.production, CommandIDs.test]) {
    palette?.addItem({ command, category: CATEGORY });
  }
}
