import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { NotebookPanel, type INotebookTracker } from '@jupyterlab/notebook';
import type { HostExtras } from '../core/rest-host';
import { errorMessage, type ApiClient } from './api-client';
import { cellTexts, showCell } from './notebook-cells';
import { readCode, type StepCell } from './step-code';

/**
 * Return what views can do with the cells of steps: open them, and read them if they are open.
 *
 * @param app - opens notebooks
 * @param client - knows the notebooks of workflows
 * @param tracker - the open notebooks, or null if the page has none
 */
export function stepCells(
  app: JupyterFrontEnd,
  client: ApiClient,
  tracker: INotebookTracker | null
): Pick<HostExtras, 'cellSource' | 'openCell'> {
  if (!tracker) {
    return {};
  }
  return {
    openCell: (workflow, step) => {
      openCell(app, client, workflow, step).catch((error: unknown) => {
        Notification.error(`The cell can't be opened: ${errorMessage(error)}`);
      });
    },
    cellSource: (workflow, step) => {
      const path = client.knownPath(workflow);
      if (path === undefined) {
        // Read it for the next time that this is drawn.
        client.notebookPath(workflow).catch(() => undefined);
        return null;
      }
      const { contents } = app.serviceManager;
      const panel = tracker.find(each => contents.localPath(each.context.path) === path);
      return (panel && findStep(panel, step)?.source) ?? null;
    }
  };
}

async function openCell(
  app: JupyterFrontEnd,
  client: ApiClient,
  workflow: string,
  step: string
): Promise<void> {
  const path = await client.notebookPath(workflow);
  const panel: unknown = await app.commands.execute('docmanager:open', { path });
  if (!(panel instanceof NotebookPanel)) {
    return;
  }
  await panel.context.ready;
  await panel.revealed;
  const cell = findStep(panel, step);
  if (!cell) {
    Notification.info(`The notebook has no step ${step} any more.`);
    return;
  }
  await showCell(panel, cell.index);
}

function findStep(panel: NotebookPanel, step: string): StepCell | undefined {
  const { steps } = readCode(cellTexts(panel.context.model));
  return steps.find(({ name }) => name === step);
}
