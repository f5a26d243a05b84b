import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { IStateDB } from '@jupyterlab/statedb';
import { runIcon } from '@jupyterlab/ui-components';
import type { Widget } from '@lumino/widgets';
import { CATEGORY } from './commands';
import { runsIcon } from './icon';
import { createWorkflowNotebook } from './new-notebook';
import { NotebookToolbars } from './notebook-toolbars';
import type { NotebookWorkflow } from './notebook-workflow';
import { CommandIDs, IWorkflows, PluginIDs } from './tokens';

/** The mode switch and the Run button in the toolbars of notebooks, and their commands. */
export const notebookPlugin: JupyterFrontEndPlugin<void> = {
  id: PluginIDs.notebook,
  description: 'Switches notebooks between test and production, deploys them and starts runs.',
  autoStart: true,
  requires: [IWorkflows, INotebookTracker],
  optional: [IToolbarWidgetRegistry, ICommandPalette, IStateDB, ILauncher, IDefaultFileBrowser],
  activate: (
    app: JupyterFrontEnd,
    workflows: IWorkflows,
    tracker: INotebookTracker,
    toolbarRegistry: IToolbarWidgetRegistry | null,
    palette: ICommandPalette | null,
    state: IStateDB | null,
    launcher: ILauncher | null,
    files: IDefaultFileBrowser | null
  ) => {
    const { contents } = app.serviceManager;
    const toolbars = new NotebookToolbars({ workflows, contents, state });
    const add = (name: string, make: (panel: NotebookPanel) => Widget): void => {
      toolbarRegistry?.addFactory<NotebookPanel>('Notebook', name, make);
    };
    add('pdflow-mode', toolbars.makeSwitch);
    add('pdflow-deploy', toolbars.makeDeployState);
    add('pdflow-run', toolbars.makeRunButton);
    const current = (): NotebookWorkflow | null => {
      const panel = tracker.currentWidget;
      return panel && toolbars.workflowOf(panel);
    };
    tracker.currentChanged.connect(() => current()?.refresh());
    addNotebookCommands(app, palette, current);
    addNewNotebook(app, palette, launcher, () => {
      const open = tracker.currentWidget?.context.path;
      return files?.model.path ?? (open === undefined ? '' : PathExt.dirname(open));
    });
  }
};

function addNotebookCommands(
  { commands }: JupyterFrontEnd,
  palette: ICommandPalette | null,
  current: () => NotebookWorkflow | null
): void {
  const hasSteps = (): boolean => current()?.facts.hasSteps ?? false;
  commands.addCommand(CommandIDs.test, {
    label: 'Switch This Notebook to Test',
    isEnabled: () => current()?.mode === 'production',
    execute: () => current()?.switchTo('test')
  });
  commands.addCommand(CommandIDs.production, {
    label: 'Save, Deploy and Switch This Notebook to Production',
    isEnabled: () => Boolean(current()?.mode),
    execute: () => current()?.switchTo('production')
  });
  commands.addCommand(CommandIDs.deploy, {
    label: 'Save and Deploy This Notebook',
    isEnabled: hasSteps,
    execute: () => current()?.deploy()
  });
  commands.addCommand(CommandIDs.load, {
    label: 'Load Workflows in This Notebook',
    isEnabled: () => current()?.mode === null,
    execute: () => current()?.load()
  });
  commands.addCommand(CommandIDs.run, {
    label: 'Start a Run of This Notebook…',
    icon: runIcon,
    isEnabled: hasSteps,
    execute: () => current()?.run()
  });
  const { run, deploy, production, test, load } = CommandIDs;
  for (const command of [run, deploy, production, test, load]) {
    palette?.addItem({ command, category: CATEGORY });
  }
}

/** Add the command that creates a workflow's notebook, and its card in the launcher. */
function addNewNotebook(
  app: JupyterFrontEnd,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  currentFolder: () => string
): void {
  const command = CommandIDs.newNotebook;
  app.commands.addCommand(command, {
    label: args => (args['isPalette'] === true ? 'New Workflow Notebook' : 'Workflow notebook'),
    caption: 'Create a notebook with a workflow of two steps to begin with',
    icon: runsIcon,
    execute: args => {
      const { cwd } = args;
      return createWorkflowNotebook(app, typeof cwd === 'string' ? cwd : currentFolder());
    }
  });
  palette?.addItem({ command, category: CATEGORY, args: { isPalette: true } });
  // Cards of this category have images in place of icons.
  const svg = runsIcon.svgstr.replace('#616161', '#f37726');
  const kernelIconUrl = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  launcher?.add({ command, category: 'Notebook', rank: 50, kernelIconUrl });
}
