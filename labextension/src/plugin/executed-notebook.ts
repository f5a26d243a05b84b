import { PathExt } from '@jupyterlab/coreutils';
import type { Contents } from '@jupyterlab/services';
import { ServerConnection } from '@jupyterlab/services';
import { hasEnded } from '../core/formatting';
import type { Host } from '../core/host';
import type { ApiClient } from './api-client';

/**
 * Save a run as an executed notebook in the folder of the workflow's notebook.
 *
 * If a file was already saved after the run had ended, it is not written again.
 *
 * @returns the path of the executed notebook
 */
export async function saveExecutedNotebook(
  id: string,
  host: Pick<Host, 'get'>,
  client: ApiClient,
  contents: Contents.IManager
): Promise<string> {
  const run = await host.get(id);
  const folder = PathExt.dirname(await client.notebookPath(run.workflow_id));
  const path = PathExt.join(folder, `${run.workflow_name}-${run.id}.ipynb`);
  const savedAt = await lastModified(contents, path);
  if (!hasEnded(run) || savedAt === null || savedAt < Date.parse(run.updated_at)) {
    const content = await client.executedNotebook(id);
    await contents.save(path, { type: 'notebook', format: 'json', content });
  }
  return path;
}

/** Return when a file was saved, as a timestamp, or null if it does not exist. */
async function lastModified(contents: Contents.IManager, path: string): Promise<number | null> {
  try {
    return Date.parse((await contents.get(path, { content: false })).last_modified);
  } catch (error) {
    if (error instanceof ServerConnection.ResponseError && error.response.status === 404) {
      return null;
    }
    throw error;
  }
}
