import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { errorMessage } from './api-client';
import { KERNEL, startingNotebook } from './starting-notebook';

/** Create a notebook with a workflow to begin with in a folder, and open it with a kernel. */
export async function createWorkflowNotebook(
  { commands, serviceManager: { contents } }: JupyterFrontEnd,
  folder: string
): Promise<unknown> {
  try {
    const { path } = await contents.newUntitled({ type: 'notebook', path: folder });
    const content = startingNotebook();
    await contents.save(path, { type: 'notebook', format: 'json', content });
    const kernel = { name: KERNEL };
    return await commands.execute('docmanager:open', { path, factory: 'Notebook', kernel });
  } catch (error) {
    Notification.error(`The notebook was not created: ${errorMessage(error)}`);
    return null;
  }
}
