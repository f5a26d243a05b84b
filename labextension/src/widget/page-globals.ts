import type { HostExtras, Subscribe } from '../core/rest-host';
import { EventStream } from './event-stream';
import type { Views } from './views-module';

/** The state that all widgets of a page share, across all loaded copies of this module. */
interface PageGlobals {
  /** The optional host methods of JupyterLab's plugin, if it is loaded. */
  extras?: HostExtras;
  streams: Record<string, EventStream>;
  /** What widgets load, or have loaded, by where it comes from; null if it was not needed any more. */
  loads: Partial<Record<string, Promise<Views | null>>>;
  /** The imported copies of kernels, by version. */
  copies: Partial<Record<string, Promise<Views>>>;
}

const NO_EXTRAS: HostExtras = {};
const KEY = Symbol.for('jupyter_pdflow');

/** Offer the plugin's host methods, such as Jupyter's renderers, to the widgets of this page. */
export function registerExtras(extras: HostExtras): void {
  pageGlobals().extras = extras;
}

/** Return the host methods that the plugin offers to the widgets of this page. */
export function registeredExtras(): HostExtras {
  return pageGlobals().extras ?? NO_EXTRAS;
}

/** Return a subscription to an event stream. All widgets of a page share one connection. */
export function sharedEventSubscription(url: string): Subscribe {
  const { streams } = pageGlobals();
  const stream = (streams[url] ??= new EventStream(url));
  return listener => stream.subscribe(listener);
}

/** Return the state of this page. Another version of this module may have begun it. */
export function pageGlobals(): PageGlobals {
  const page = globalThis as { [KEY]?: Partial<PageGlobals> };
  const globals = (page[KEY] ??= {});
  globals.streams ??= {};
  globals.loads ??= {};
  globals.copies ??= {};
  return globals as PageGlobals;
}
