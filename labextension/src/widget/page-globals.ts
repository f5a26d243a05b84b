import type { HostExtras, Subscribe } from '../core/rest-host';
import { EventStream } from './event-stream';

/** What the page offers to all widgets, whichever copy of this module they were loaded with. */
interface Shared {
  /** What JupyterLab's plugin can do for widgets, where it is there. */
  extras?: HostExtras;
  streams: Record<string, EventStream>;
}

const KEY = Symbol.for('jupyter_pdflow');

/** Let widgets on this page use what only the plugin can do, such as Jupyter's renderers. */
export function offerExtras(extras: HostExtras): void {
  shared().extras = extras;
}

/** What the plugin does for widgets on this page. */
export function sharedExtras(): HostExtras {
  return shared().extras ?? {};
}

/** Subscribe to a stream of events; all widgets of a page share one connection. */
export function sharedEvents(url: string): Subscribe {
  const { streams } = shared();
  const stream = (streams[url] ??= new EventStream(url));
  return listener => stream.subscribe(listener);
}

function shared(): Shared {
  const page = globalThis as { [KEY]?: Shared };
  return (page[KEY] ??= { streams: {} });
}
