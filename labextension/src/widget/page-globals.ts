import type { HostExtras, Subscribe } from '../core/rest-host';
import { EventStream } from './event-stream';

/** The state that all widgets of a page share, across all loaded copies of this module. */
interface PageGlobals {
  /** The optional host methods of JupyterLab's plugin, if it is loaded. */
  extras?: HostExtras;
  streams: Record<string, EventStream>;
}

const KEY = Symbol.for('jupyter_pdflow');

/** Offer the plugin's host methods, such as Jupyter's renderers, to the widgets of this page. */
export function registerExtras(extras: HostExtras): void {
  pageGlobals().extras = extras;
}

/** Return the host methods that the plugin offers to the widgets of this page. */
export function registeredExtras(): HostExtras {
  return pageGlobals().extras ?? {};
}

/** Return a subscription to an event stream. All widgets of a page share one connection. */
export function sharedEventSubscription(url: string): Subscribe {
  const { streams } = pageGlobals();
  const stream = (streams[url] ??= new EventStream(url));
  return listener => stream.subscribe(listener);
}

function pageGlobals(): PageGlobals {
  const page = globalThis as { [KEY]?: PageGlobals };
  return (page[KEY] ??= { streams: {} });
}
