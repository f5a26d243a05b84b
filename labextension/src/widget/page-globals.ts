import type { HostExtras, Subscribe } from '../core/rest-host';
import { EventStream } from './event-stream';

/** What the page offers to all widgets, whichever copy of this module they were loaded with. */
interface PageGlobals {
  /** What JupyterLab's plugin can do for widgets, where it is there. */
  extras?: HostExtras;
  streams: Record<string, EventStream>;
}

const KEY = Symbol.for('jupyter_pdflow');

/** Let widgets on this page use what only the plugin can do, such as Jupyter's renderers. */
export function registerExtras(extras: HostExtras): void {
  pageGlobals().extras = extras;
}

/** What the plugin does for widgets on this page. */
export function registeredExtras(): HostExtras {
  return pageGlobals().extras ?? {};
}

/** Subscribe to a stream of events; all widgets of a page share one connection. */
export function sharedEventSubscription(url: string): Subscribe {
  const { streams } = pageGlobals();
  const stream = (streams[url] ??= new EventStream(url));
  return listener => stream.subscribe(listener);
}

function pageGlobals(): PageGlobals {
  const page = globalThis as { [KEY]?: PageGlobals };
  return (page[KEY] ??= { streams: {} });
}
