import { hasEnded } from '../core/formatting';
import type { Host } from '../core/host';
import { fileUrls, RestHost } from '../core/rest-host';
import type { Run, RunItem, RunStatus } from '../core/types';
import type { Model } from './kernel-channel';
import { KernelChannel, pollingSubscriber } from './kernel-channel';
import { eventsUrl, isSameServer, pageRequester, pageServer } from './page-server';
import { sharedEvents, sharedExtras } from './page-globals';

/** What a widget shows, as the kernel says it. */
export interface View {
  kind: 'run' | 'runs' | 'step';
  run?: string;
  step?: string;
  workflow?: string | null;
  status?: RunStatus | null;
  /** A path below `/pdflow/api` that only the server of these runs answers. */
  probe: string;
}

/** A host, and what ends it. */
export interface OwnHost {
  host: Host;
  dispose(): void;
}

const NEWEST = 50;
const MOST_PAUSED = 200;

/** Talk to the server from the browser where the page is the server's, else by the kernel. */
export async function chooseHost(model: Model, view: View, page = document): Promise<OwnHost> {
  const server = pageServer(page);
  const request = server && pageRequester(server, page);
  if (server && request && (await isSameServer(server, request, view.probe))) {
    const extras = {
      openNotebook: (id: string) => download(page, `${server.baseUrl}${notebookPath(id)}`),
      fileUrl: fileUrls(server.baseUrl),
      ...sharedExtras()
    };
    const events = sharedEvents(eventsUrl(server));
    return {
      host: new RestHost(server.baseUrl, request, events, extras),
      dispose: () => undefined
    };
  }
  return kernelHost(model, view);
}

/** Talk to the server through the kernel. */
export function kernelHost(model: Model, view: View): OwnHost {
  const channel = new KernelChannel(model);
  const subscribe = pollingSubscriber(() => look(host, view));
  const host: Host = new RestHost('/', channel.request, subscribe);
  return { host, dispose: () => channel.dispose() };
}

/**
 * Let a host tell each time that it has got a run that rests: paused, or ended.
 *
 * @param settled - called with the run
 */
export function tellingSettled(host: Host, settled: (run: Run) => void): Host {
  const get = async (id: string): Promise<Run> => {
    const run = await host.get(id);
    if (run.status === 'paused' || hasEnded(run)) {
      settled(run);
    }
    return run;
  };
  return Object.assign(Object.create(host) as Host, { get });
}

/** Ask for what a change of what is shown would make another. */
async function look(host: Host, view: View): Promise<unknown> {
  if (view.run !== undefined) {
    return stamp(await host.get(view.run));
  }
  const workflow = view.workflow ?? undefined;
  const newest = await host.list({ workflow, limit: NEWEST });
  const paused = await host.list({ workflow, limit: MOST_PAUSED, status: 'paused' });
  return [...newest, ...paused].map(stamp);
}

function stamp(run: RunItem): string[] {
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
