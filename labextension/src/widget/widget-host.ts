import { hasEnded } from '../core/formatting';
import type { Host } from '../core/host';
import { fileUrls, RestHost } from '../core/rest-host';
import type { Run, RunItem, RunStatus } from '../core/types';
import type { WidgetModel } from './kernel-channel';
import { KernelChannel, subscribeByPolling } from './kernel-channel';
import { registeredExtras, sharedEventSubscription } from './page-globals';
import { eventsUrl, findPageServer, isSameServer, requestSender } from './page-server';

/** What a widget shows, as the kernel specifies it. */
export interface ViewSpec {
  kind: 'form' | 'run' | 'runs' | 'step';
  run?: string;
  step?: string;
  workflow?: string | null;
  status?: RunStatus | null;
  /** A path below `/pdflow/api` that exists only on the server of these runs. */
  probe: string;
}

/** A host that has to be disposed of. */
export interface DisposableHost {
  host: Host;
  dispose(): void;
}

const MAX_NEWEST = 50;
const MAX_PAUSED = 200;

/** Return a host that calls the page's server, or the kernel if that server lacks the runs. */
export async function chooseHost(
  model: WidgetModel,
  spec: ViewSpec,
  page = document
): Promise<DisposableHost> {
  const server = findPageServer(page);
  const request = server && requestSender(server, page);
  if (server && request && (await isSameServer(server, request, spec.probe))) {
    const extras = {
      openNotebook: (id: string) => download(page, `${server.baseUrl}${notebookPath(id)}`),
      fileUrl: fileUrls(server.baseUrl),
      ...registeredExtras()
    };
    const events = sharedEventSubscription(eventsUrl(server));
    return {
      host: new RestHost(server.baseUrl, request, events, extras),
      dispose: () => undefined
    };
  }
  return makeKernelHost(model, spec);
}

/** Return a host that reaches the server through the kernel. */
export function makeKernelHost(model: WidgetModel, spec: ViewSpec): DisposableHost {
  const channel = new KernelChannel(model);
  const subscribe = subscribeByPolling(() => readStamps(host, spec));
  const host: Host = new RestHost('/', channel.request, subscribe);
  return { host, dispose: () => channel.dispose() };
}

/**
 * Return a host that also calls back each time it reads a settled run: paused or ended.
 *
 * @param onSettled - called with the run
 */
export function withSettledCallback(host: Host, onSettled: (run: Run) => void): Host {
  const get = async (id: string): Promise<Run> => {
    const run = await host.get(id);
    if (run.status === 'paused' || hasEnded(run)) {
      onSettled(run);
    }
    return run;
  };
  return Object.assign(Object.create(host) as Host, { get });
}

/** Return the ids, statuses and update times of the runs that a view shows. */
async function readStamps(host: Host, spec: ViewSpec): Promise<unknown> {
  if (spec.run !== undefined) {
    return stampOf(await host.get(spec.run));
  }
  const workflow = spec.workflow ?? undefined;
  const newest = await host.list({ workflow, limit: MAX_NEWEST });
  const paused = await host.list({ workflow, limit: MAX_PAUSED, status: 'paused' });
  return [...newest, ...paused].map(stampOf);
}

function stampOf(run: RunItem): string[] {
  return [run.id, run.status, run.updated_at];
}

function notebookPath(id: string): string {
  return `pdflow/api/runs/${encodeURIComponent(id)}/notebook`;
}

function download(page: Document, url: string): void {
  const link = page.createElement('a');
  link.href = url;
  link.download = '';
  link.click();
}
