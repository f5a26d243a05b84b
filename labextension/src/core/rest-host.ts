import type { ChangeListener, Host, RunQuery } from './host';
import { ApiError } from './host';
import { joinLines, joinOutputText } from './multiline';
import type { FieldError, Health, Output, Run, RunFile, RunItem } from './types';

/** Sends a request, as `fetch` does, with the server's credentials and XSRF token. */
export type SendRequest = (url: string, init: RequestInit) => Promise<Response>;

/** Subscribes to changes of runs, and returns a function that unsubscribes. */
export type Subscribe = (listener: ChangeListener) => () => void;

/** What a page can do beyond the REST API. */
export type HostExtras = Pick<Host, 'fileUrl' | 'openNotebook' | 'renderOutputs'>;

const STEP_LINE = /^%%step[ \t]+(\S+)/;

/** A host that calls the server's REST API. */
export class RestHost implements Host {
  readonly renderOutputs?: Host['renderOutputs'];
  readonly openNotebook?: Host['openNotebook'];
  readonly fileUrl?: Host['fileUrl'];
  private readonly api: string;

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
    this.api = apiUrl(baseUrl);
    this.renderOutputs = extras.renderOutputs?.bind(extras);
    this.openNotebook = extras.openNotebook?.bind(extras);
    this.fileUrl = extras.fileUrl?.bind(extras);
  }

  /** {@inheritDoc Host.list} */
  list(query: RunQuery): Promise<RunItem[]> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== '') {
        search.set(name, String(value));
      }
    }
    const text = search.toString();
    return this.call<RunItem[]>(`runs${text && '?'}${text}`);
  }

  /** {@inheritDoc Host.get} */
  get(id: string): Promise<Run> {
    return this.call<Run>(path(id));
  }

  /** {@inheritDoc Host.outputs} */
  async outputs(id: string): Promise<Record<string, Output[]>> {
    return outputsOf(await this.call<unknown>(path(id, 'notebook')));
  }

  /** {@inheritDoc Host.files} */
  files(id: string): Promise<RunFile[]> {
    return this.call<RunFile[]>(path(id, 'files'));
  }

  /** {@inheritDoc Host.health} */
  health(): Promise<Health> {
    return this.call<Health>('health');
  }

  /** {@inheritDoc Host.resume} */
  resume(id: string, data: unknown, note: string | null = null, since?: string): Promise<Run> {
    const body = { data: data ?? null, ...(note !== null && { note }), since, by: 'button' };
    return this.call<Run>(path(id, 'resume'), body);
  }

  /** {@inheritDoc Host.reject} */
  reject(id: string, note: string | null, since?: string): Promise<Run> {
    return this.call<Run>(path(id, 'reject'), { note, since, by: 'button' });
  }

  /** {@inheritDoc Host.cancel} */
  cancel(id: string, reason: string | null): Promise<Run> {
    return this.call<Run>(path(id, 'cancel'), { reason, by: 'button' });
  }

  /** {@inheritDoc Host.onChange} */
  onChange(listener: ChangeListener): () => void {
    return this.subscribe(listener);
  }

  private async call<T>(route: string, body?: unknown): Promise<T> {
    const init: RequestInit =
      body === undefined
        ? { method: 'GET', cache: 'no-store' }
        : {
            method: 'POST',
            body: JSON.stringify(body),
            headers: { 'Content-Type': 'application/json' }
          };
    const response = await this.send(`${this.api}/${route}`, init);
    const content = await readJson(response);
    if (!response.ok) {
      throw toApiError(response, content);
    }
    if (content === undefined) {
      throw new ApiError("The server's response is not JSON.", 'unreadable', response.status);
    }
    return content as T;
  }

  private async send(url: string, init: RequestInit): Promise<Response> {
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
  return (id, file) =>
    `${apiUrl(baseUrl)}/${path(id, 'files')}/${file.split('/').map(encodeURIComponent).join('/')}`;
}

/** Return the outputs of an executed notebook's step cells, by step name. */
export function outputsOf(notebook: unknown): Record<string, Output[]> {
  const found: Record<string, Output[]> = {};
  const { cells } = (notebook ?? {}) as { cells?: Partial<NotebookCell>[] };
  for (const cell of Array.isArray(cells) ? cells : []) {
    const name = STEP_LINE.exec(joinLines(cell.source))?.[1];
    if (name !== undefined) {
      found[name] = (cell.outputs ?? []).map(joinOutputText);
    }
  }
  return found;
}

interface NotebookCell {
  source: string[] | string;
  outputs: Output[];
}

function apiUrl(baseUrl: string): string {
  return `${baseUrl.replace(/\/+$/, '')}/pdflow/api`;
}

function path(id: string, action?: string): string {
  const run = `runs/${encodeURIComponent(id)}`;
  return action === undefined ? run : `${run}/${action}`;
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
