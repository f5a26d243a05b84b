import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { IEditorServices } from '@jupyterlab/codeeditor';
import { NotebookPanel } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { notebookDownload } from '../core/download';
import { errorMessage } from './api-client';
import { RunNotebooks } from './run-notebooks';
import { CommandIDs, IWorkflows, PluginIDs } from './tokens';

/** Runs as executed notebooks, which open read-only, without a file and without a kernel. */
export const runNotebookPlugin: JupyterFrontEndPlugin<void> = {
  id: PluginIDs.runNotebook,
  description: 'Opens runs of workflows as executed notebooks.',
  autoStart: true,
  requires: [IWorkflows, IRenderMimeRegistry, IEditorServices, NotebookPanel.IContentFactory],
  optional: [ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    { client, host }: IWorkflows,
    rendermime: IRenderMimeRegistry,
    editorServices: IEditorServices,
    contentFactory: NotebookPanel.IContentFactory,
    restorer: ILayoutRestorer | null
  ) => {
    const { shell, serviceManager } = app;
    const download = notebookDownload(serviceManager.serverSettings.baseUrl);
    const services = { shell, rendermime, contentFactory, editorServices, download };
    const notebooks = new RunNotebooks(services);
    app.commands.addCommand(CommandIDs.openNotebook, {
      label: 'Open a Run as an Executed Notebook',
      isVisible: () => false,
      execute: async args => {
        const id = args['run'] as string;
        try {
          if (!notebooks.reveal(id)) {
            const [run, content] = await Promise.all([host.get(id), client.executedNotebook(id)]);
            notebooks.open(run, content);
          }
        } catch (error) {
          showError(error);
        }
      }
    });
    if (restorer) {
      notebooks.restore(restorer);
    }
  }
};

function showError(error: unknown): void {
  Notification.error(`The run can’t be opened as a notebook: ${errorMessage(error)}`, {
    autoClose: false
  });
}
