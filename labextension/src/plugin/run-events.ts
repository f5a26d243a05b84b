import { EventManager, type Event, type ServerConnection } from '@jupyterlab/services';
import type { ChangeListener } from '../core/host';
import { RUN_EVENT, type RunChange } from '../core/types';

/**
 * Hears of changed runs by Jupyter's event stream.
 *
 * JupyterLab's own stream does not tell when it was interrupted, and events are not sent again.
 * This is the same stream with a socket that tells when it opens: what happened before that is
 * unknown then.
 */
export class RunEvents {
  private readonly listeners = new Set<ChangeListener>();
  private readonly manager: Event.IManager;

  /** @param settings - how the server is reached */
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

  /** Hear of changes until the function that this returns is called. */
  readonly subscribe = (listener: ChangeListener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** End the connection. */
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

/** Make a socket class that calls back whenever one opens. */
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
