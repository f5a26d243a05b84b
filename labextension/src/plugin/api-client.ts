import { URLExt } from '@jupyterlab/coreutils';
import type { INotebookContent } from '@jupyterlab/nbformat';
import { ServerConnection } from '@jupyterlab/services';
import { ApiError } from '../core/host';
import type { Deployment, Workflow } from '../core/types';

/** A client for the REST routes that the toolbar and the commands use, beyond those of `Host`. */
export class ApiClient {
  private readonly paths = new Map<string, string>();

  /** @param settings - the connection settings of the server */
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** Send a request through JupyterLab, which adds credentials and the XSRF token. */
  readonly request = (url: string, init: RequestInit): Promise<Response> =>
    ServerConnection.makeRequest(url, init, this.settings);

  /** Return what the server knows about a notebook. */
  async deployment(path: string): Promise<Deployment> {
    const found = await this.call(`deployment?path=${encodeURIComponent(path)}`);
    const deployment = found as Deployment;
    if (deployment.workflow) {
      this.paths.set(deployment.workflow.id, deployment.workflow.path);
    }
    return deployment;
  }

  /** Deploy a notebook as it is saved, and return its workflow. */
  async deploy(path: string): Promise<Workflow> {
    return (await this.call('workflows', { path })) as Workflow;
  }

  /** Return the path of a workflow's notebook if it was read before, or undefined. */
  knownPath(workflowId: string): string | undefined {
    return this.paths.get(workflowId);
  }

  /** Return a run as an executed notebook. */
  async executedNotebook(runId: string): Promise<INotebookContent> {
    return (await this.call(`runs/${encodeURIComponent(runId)}/notebook`)) as INotebookContent;
  }

  /** Return the path of a workflow's notebook. */
  async notebookPath(workflowId: string): Promise<string> {
    const workflow = await this.call(`workflows/${encodeURIComponent(workflowId)}`);
    const { path } = workflow as Workflow;
    this.paths.set(workflowId, path);
    return path;
  }

  private async call(route: string, body?: unknown): Promise<unknown> {
    const url = URLExt.join(this.settings.baseUrl, 'pdflow/api', route);
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    const response = await this.request(url, init);
    const content: unknown = await response.json().catch(() => null);
    if (!response.ok) {
      const { message, reason } = (content ?? {}) as Partial<Record<'message' | 'reason', string>>;
      const text = message ?? `The server answered ${response.status} ${response.statusText}.`;
      throw new ApiError(text, reason ?? 'error', response.status);
    }
    return content;
  }
}

/** Return the message of a thrown value. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
