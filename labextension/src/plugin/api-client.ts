import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { ApiError } from '../core/host';
import type { Run } from '../core/types';

/** A deployed notebook, as the server tells it. */
export interface Workflow {
  id: string;
  name: string;
  version: string;
  path: string;
  steps: string[];
}

/** What the notebook's toolbar and the commands ask of the server, beyond `Host`. */
export class ApiClient {
  /** @param settings - how the server is reached */
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** Send a request as JupyterLab does, which sees to credentials and XSRF. */
  readonly request = (url: string, init: RequestInit): Promise<Response> =>
    ServerConnection.makeRequest(url, init, this.settings);

  /** Get the newest version of the workflow of a notebook; undefined where it is not deployed. */
  async findWorkflow(path: string): Promise<Workflow | undefined> {
    const workflows = (await this.call('workflows')) as Workflow[];
    return workflows.find(workflow => workflow.path === path);
  }

  /** Start a run with this event. */
  async startRun(workflow: Workflow, event: unknown): Promise<Run> {
    const id = encodeURIComponent(workflow.id);
    return (await this.call(`workflows/${id}/runs`, { event })) as Run;
  }

  /** Get a run as an executed notebook. */
  async executedNotebook(runId: string): Promise<unknown> {
    return this.call(`runs/${encodeURIComponent(runId)}/notebook`);
  }

  /** Get the path of the notebook of a workflow. */
  async notebookPath(workflowId: string): Promise<string> {
    const workflow = await this.call(`workflows/${encodeURIComponent(workflowId)}`);
    return (workflow as Workflow).path;
  }

  private async call(route: string, body?: unknown): Promise<unknown> {
    const url = URLExt.join(this.settings.baseUrl, 'pdflow/api', route);
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    const response = await this.request(url, init);
    const answer: unknown = await response.json().catch(() => null);
    if (!response.ok) {
      const { message, reason } = (answer ?? {}) as Partial<Record<'message' | 'reason', string>>;
      const words = message ?? `The server answered ${response.status} ${response.statusText}.`;
      throw new ApiError(words, reason ?? 'error', response.status);
    }
    return answer;
  }
}

/** The words of something that was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
