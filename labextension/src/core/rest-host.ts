import type { ChangeListener, CountQuery, Host, RunQuery } from './host';
import { ApiError } from './host';
import type { Answer, Body, Names, Query, Readable, Writable } from './routes';
import { pathOf, queryOf } from './routes';
import type {
  Email,
  FieldError,
  Health,
  HistoryEntry,
  Output,
  Run,
  RunCounts,
  RunFile,
  RunItem,
  Version,
  VersionItem,
  Workflow
} from './types';
import { joinOutputText } from './values/multiline';

/** By what the server is told that a person has acted. */
const BUTTON = 'button' as const;

/** Sends a request, as `fetch` does, with the server's credentials and XSRF token. */
export type SendRequest = (url: string, init: RequestInit) => Promise<Response>;

/** Subscribes to changes of runs, and returns a function that unsubscribes. */
export type Subscribe = (listener: ChangeListener) => () => void;

/** What a page can do beyond the REST API. */
export type HostExtras = Pick<
  Host,
  'cellSource' | 'fileUrl' | 'openCell' | 'openNotebook' | 'openRun' | 'renderOutputs'
>;

/** A host that calls the server's REST API. */
export class RestHost implements Host {
  readonly cellSource?: Host['cellSource'];
  readonly fileUrl?: Host['fileUrl'];
  readonly openCell?: Host['openCell'];
  readonly openNotebook?: Host['openNotebook'];
  readonly openRun?: Host['openRun'];
  readonly renderOutputs?: Host['renderOutputs'];
  private readonly baseUrl: string;

  /**
   * @param baseUrl - the Jupyter server's base URL
   * @param request - sends requests
   * @param subscribe - subscribes to changes of runs
   * @param extras - the optional methods of the host
   */
  constructor(
    baseUrl: string,
    private readonly request: SendRequest,
    private readonly subscribe: Subscribe,
    extras: HostExtras = {}
  ) {
    this.baseUrl = withoutSlash(baseUrl);
    Object.assign(this, extras);
  }

  /** {@inheritDoc Host.list} */
  list(query: RunQuery): Promise<RunItem[]> {
    return this.read('/pdflow/api/runs', {}, query);
  }

  /** {@inheritDoc Host.counts} */
  counts(query: CountQuery): Promise<RunCounts> {
    const offset = -new Date().getTimezoneOffset();
    return this.read('/pdflow/api/runs/counts', {}, { ...query, offset });
  }

  /** {@inheritDoc Host.get} */
  get(id: string): Promise<Run> {
    return this.read('/pdflow/api/runs/{run_id}', { run_id: id });
  }

  /** {@inheritDoc Host.outputs} */
  async outputs(id: string): Promise<Record<string, Output[]>> {
    const outputs = await this.read('/pdflow/api/runs/{run_id}/outputs', { run_id: id });
    const steps = Object.entries(outputs) as [string, Output[]][];
    return Object.fromEntries(steps.map(([step, each]) => [step, each.map(joinOutputText)]));
  }

  /** {@inheritDoc Host.emails} */
  emails(id: string): Promise<Email[]> {
    return this.read('/pdflow/api/mail', {}, { run: id });
  }

  /** {@inheritDoc Host.retryEmail} */
  retryEmail(id: string): Promise<Email> {
    return this.send('/pdflow/api/mail/{mail_id}/retry', { mail_id: id }, {});
  }

  /** {@inheritDoc Host.history} */
  history(id: string): Promise<HistoryEntry[]> {
    return this.read('/pdflow/api/runs/{run_id}/history', { run_id: id });
  }

  /** {@inheritDoc Host.workflow} */
  workflow(id: string): Promise<Workflow> {
    return this.read('/pdflow/api/workflows/{workflow_id}', { workflow_id: id });
  }

  /** {@inheritDoc Host.versions} */
  versions(id: string): Promise<VersionItem[]> {
    return this.read('/pdflow/api/workflows/{workflow_id}/versions', { workflow_id: id });
  }

  /** {@inheritDoc Host.source} */
  source(id: string, version: string): Promise<Version> {
    const route = '/pdflow/api/workflows/{workflow_id}/versions/{version}';
    return this.read(route, { workflow_id: id, version });
  }

  /** {@inheritDoc Host.start} */
  start(workflow: string, event: unknown): Promise<Run> {
    const route = '/pdflow/api/workflows/{workflow_id}/runs';
    return this.send(route, { workflow_id: workflow }, { event, by: BUTTON });
  }

  /** {@inheritDoc Host.files} */
  files(id: string): Promise<RunFile[]> {
    return this.read('/pdflow/api/runs/{run_id}/files', { run_id: id });
  }

  /** {@inheritDoc Host.health} */
  health(): Promise<Health> {
    return this.read('/pdflow/api/health', {});
  }

  /** {@inheritDoc Host.resume} */
  resume(id: string, data: unknown, note: string | null = null, since?: string): Promise<Run> {
    const body = { data: data ?? null, ...(note !== null && { note }), since, by: BUTTON };
    return this.send('/pdflow/api/runs/{run_id}/resume', { run_id: id }, body);
  }

  /** {@inheritDoc Host.reject} */
  reject(id: string, note: string | null, since?: string): Promise<Run> {
    const body = { note, since, by: BUTTON };
    return this.send('/pdflow/api/runs/{run_id}/reject', { run_id: id }, body);
  }

  /** {@inheritDoc Host.cancel} */
  cancel(id: string, reason: string | null): Promise<Run> {
    const body = { reason, by: BUTTON };
    return this.send('/pdflow/api/runs/{run_id}/cancel', { run_id: id }, body);
  }

  /** {@inheritDoc Host.onChange} */
  onChange(listener: ChangeListener): () => void {
    return this.subscribe(listener);
  }

  private read<P extends Readable>(
    route: P,
    names: Record<Names<P>, string>,
    query: Query<P> | Record<string, never> = {}
  ): Promise<Answer<P, 'get'>> {
    const path = pathOf(route, names) + queryOf(query);
    return this.call(path, { method: 'GET', cache: 'no-store' });
  }

  private send<P extends Writable>(
    route: P,
    names: Record<Names<P>, string>,
    body: Body<P>
  ): Promise<Answer<P, 'post'>> {
    return this.call(pathOf(route, names), {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json' }
    });
  }

  private async call<T>(path: string, init: RequestInit): Promise<T> {
    const response = await this.fetch(this.baseUrl + path, init);
    const content = await readJson(response);
    if (!response.ok) {
      throw toApiError(response, content);
    }
    if (content === undefined) {
      throw new ApiError("The server's response is not JSON.", 'unreadable', response.status);
    }
    return content as T;
  }

  private async fetch(url: string, init: RequestInit): Promise<Response> {
    try {
      return await this.request(url, init);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new ApiError(message, 'network', 0);
    }
  }
}

/** Return a function that returns the URLs of files, for pages with the server's login cookie. */
export function fileUrls(baseUrl: string): (id: string, file: string) => string {
  return (id, file) => {
    const folder = pathOf('/pdflow/api/runs/{run_id}/files', { run_id: id });
    return `${withoutSlash(baseUrl)}${folder}/${file.split('/').map(encodeURIComponent).join('/')}`;
  };
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '');
}

/** Return the JSON body of a response, or undefined if it is not JSON. */
async function readJson(response: Response): Promise<unknown> {
  try {
    return JSON.parse(await response.text()) as unknown;
  } catch {
    return undefined;
  }
}

function toApiError(response: Response, content: unknown): ApiError {
  const { message, reason, errors } = (content ?? {}) as Record<string, unknown>;
  const { status, statusText } = response;
  return new ApiError(
    typeof message === 'string' ? message : `The server answered ${status} ${statusText}`.trim(),
    typeof reason === 'string' ? reason : 'error',
    status,
    Array.isArray(errors) ? errors.filter(isFieldError) : []
  );
}

function isFieldError(value: unknown): value is FieldError {
  const { field, message } = (value ?? {}) as Partial<FieldError>;
  return typeof field === 'string' && typeof message === 'string';
}
