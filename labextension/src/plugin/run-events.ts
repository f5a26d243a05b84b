import { EventManager, type Event, type ServerConnection } from '@jupyterlab/services';
import type { ChangeListener } from '../core/host';
import { RUN_EVENT, type RunChange } from '../core/types';

/**
 * Changes of runs from Jupyter's event stream, through JupyterLab's event manager.
 *
 * JupyterLab's own stream does not signal interruptions, and missed events are not sent again. This
 * stream uses a socket that calls back when it opens, so that listeners can read the runs again.
 */
export class RunEvents {
  private readonly listeners = new Set<ChangeListener>();
  private readonly manager: Event.IManager;

  /** @param settings - the connection settings of the server */
  constructor(settings: ServerConnection.ISettings) {
    this.manager = new EventManager({
      serverSettings: {
        ...settings,
        WebSocket: withOpenCallback(settings, () => this.notify(null))
      }
    });
    this.manager.stream.connect((_, emission) => {
      if (emission.schema_id === RUN_EVENT) {
        this.notify(emission as unknown as RunChange);
      }
    });
  }

  /** Subscribe to changes of runs. Returns a function that unsubscribes. */
  readonly subscribe = (listener: ChangeListener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Close the connection. */
  dispose(): void {
    this.listeners.clear();
    this.manager.dispose();
  }

  private notify(change: RunChange | null): void {
    for (const listener of [...this.listeners]) {
      listener(change);
    }
  }
}

/** Return a WebSocket class whose sockets call `onOpen` when they open. */
function withOpenCallback(
  settings: ServerConnection.ISettings,
  onOpen: () => void
): typeof WebSocket {
  return class extends settings.WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      this.addEventListener('open', onOpen);
    }
  };
}
