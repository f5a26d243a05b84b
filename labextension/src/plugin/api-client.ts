import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { ApiError } from '../core/host';
import type { Run } from '../core/types';

/** A workflow, as the server returns it. */
export interface Workflow {
  id: string;
  name: string;
  version: string;
  path: string;
  steps: string[];
}

/** A client for the REST routes that the toolbar and the commands use, beyond those of `Host`. */
export class ApiClient {
  /** @param settings - the connection settings of the server */
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** Send a request through JupyterLab, which adds credentials and the XSRF token. */
  readonly request = (url: string, init: RequestInit): Promise<Response> =>
    ServerConnection.makeRequest(url, init, this.settings);

  /** Return the newest version of a notebook's workflow, or undefined if it is not deployed. */
  async findWorkflow(path: string): Promise<Workflow | undefined> {
    const workflows = (await this.call('workflows')) as Workflow[];
    return workflows.find(workflow => workflow.path === path);
  }

  /** Start a run with an event, and return it. */
  async startRun(workflow: Workflow, event: unknown): Promise<Run> {
    const id = encodeURIComponent(workflow.id);
    return (await this.call(`workflows/${id}/runs`, { event })) as Run;
  }

  /** Return a run as an executed notebook. */
  async executedNotebook(runId: string): Promise<unknown> {
    return this.call(`runs/${encodeURIComponent(runId)}/notebook`);
  }

  /** Return the path of a workflow's notebook. */
  async notebookPath(workflowId: string): Promise<string> {
    const workflow = await this.call(`workflows/${encodeURIComponent(workflowId)}`);
    return (workflow as Workflow).path;
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
