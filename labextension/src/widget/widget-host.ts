import { notebookDownload } from '../core/download';
import type { Host } from '../core/host';
import type { HostExtras } from '../core/rest-host';
import { fileUrls, RestHost } from '../core/rest-host';
import type { RunItem } from '../core/types';
import type { WidgetModel } from './kernel-channel';
import { KernelChannel, subscribeByPolling } from './kernel-channel';
import { registeredExtras, sharedEventSubscription } from './page-globals';
import type { PageServer } from './page-server';
import { eventsUrl, requestSender } from './page-server';
import { SettledRuns } from './settled-runs';
import type { ViewSpec } from './view-spec';
import { followsLatest } from './view-spec';

/** A host that has to be disposed of. */
export interface DisposableHost {
  host: Host;
  dispose: () => void;
}

/** The runs of a widget's view. They have to be disposed of. */
export interface Connection {
  settled: SettledRuns;
  dispose: () => void;
}

const MAX_NEWEST = 50;
const MAX_PAUSED = 200;

/** The runs of the page's server. All widgets that show them share one connection and reader. */
let shared: { baseUrl: string; extras: HostExtras; settled: SettledRuns } | undefined;

/** Return the runs of the page's server, or those that the kernel reads if there is no server. */
export function connect(
  model: WidgetModel,
  spec: ViewSpec,
  server: PageServer | null,
  page = document
): Connection {
  if (server !== null) {
    return { settled: serverRuns(server, page), dispose: () => undefined };
  }
  const { host, dispose } = makeKernelHost(model, spec);
  return { settled: new SettledRuns(host), dispose };
}

function serverRuns(server: PageServer, page: Document): SettledRuns {
  const { baseUrl } = server;
  const extras = registeredExtras();
  // The plugin may register later than the first widget is drawn.
  if (shared?.baseUrl !== baseUrl || shared.extras !== extras) {
    const host = makeServerHost(server, extras, page);
    shared = { baseUrl, extras, settled: new SettledRuns(host) };
  }
  return shared.settled;
}

/** Return a host that calls the page's server. */
function makeServerHost(server: PageServer, extras: HostExtras, page: Document): Host {
  const events = sharedEventSubscription(eventsUrl(server));
  return new RestHost(server.baseUrl, requestSender(server, page), events, {
    openNotebook: notebookDownload(server.baseUrl, page),
    fileUrl: fileUrls(server.baseUrl),
    ...extras
  });
}

/** Return a host that reaches the server through the kernel. */
export function makeKernelHost(model: WidgetModel, spec: ViewSpec): DisposableHost {
  const channel = new KernelChannel(model);
  const subscribe = subscribeByPolling(() => readStamps(host, spec));
  const host: Host = new RestHost('/', channel.request, subscribe);
  return { host, dispose: () => channel.dispose() };
}

/** Return the ids, statuses and update times of the runs that a view shows. */
async function readStamps(host: Host, spec: ViewSpec): Promise<unknown> {
  const workflow = spec.workflow ?? undefined;
  if (followsLatest(spec)) {
    return (await host.list({ workflow, limit: 1 })).map(stampOf);
  }
  if (spec.run) {
    return stampOf(await host.get(spec.run));
  }
  const newest = await host.list({ workflow, limit: MAX_NEWEST });
  const paused = await host.list({ workflow, limit: MAX_PAUSED, status: 'paused' });
  return [...newest, ...paused].map(stampOf);
}

function stampOf(run: RunItem): string[] {
  return [run.id, run.status, run.updated_at];
}
