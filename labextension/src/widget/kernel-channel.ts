import type { ChangeListener } from '../core/host';
import type { SendRequest, Subscribe } from '../core/rest-host';

const POLL_INTERVAL_MS = 2000;
const REPLY_TIMEOUT_MS = 120_000;
const API = 'pdflow/api/';

/** The part of a widget's model that is used here. */
export interface WidgetModel {
  get(name: string): unknown;
  send(content: unknown): void;
  on(name: string, callback: (content: unknown) => void): void;
  off(name: string, callback: (content: unknown) => void): void;
}

/** The kernel's reply to a request. */
interface KernelReply {
  id: number | string;
  result?: unknown;
  error?: { message: string; reason: string; status: number };
}

interface PendingRequest {
  resolve(response: Response): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
}

/** Sends requests to the server through the kernel, for pages that can't reach the server. */
export class KernelChannel {
  private readonly pending = new Map<string, PendingRequest>();
  private readonly name = Math.random().toString(36).slice(2);
  private count = 0;

  /** @param model - the widget's model */
  constructor(private readonly model: WidgetModel) {
    model.on('msg:custom', this.onMessage);
  }

  /** Send a request, with the signature of `fetch`. */
  readonly request: SendRequest = (url, init) => {
    const { pathname, search } = new URL(url, 'http://kernel/');
    const path = pathname.slice(pathname.indexOf(API) + API.length) + search;
    const isPost = init.method === 'POST';
    const args = isPost ? [path, JSON.parse(init.body as string) as unknown] : [path];
    const id = `${this.name}-${(this.count += 1)}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.timeOut(id), REPLY_TIMEOUT_MS);
      this.pending.set(id, { resolve, reject, timer });
      this.model.send({ id, method: isPost ? 'POST' : 'GET', args });
    });
  };

  /** Stop listening for replies. */
  dispose(): void {
    this.model.off('msg:custom', this.onMessage);
    this.pending.forEach(({ timer }) => clearTimeout(timer));
    this.pending.clear();
  }

  private readonly onMessage = (content: unknown): void => {
    const { id, result, error } = (content ?? {}) as KernelReply;
    const request = this.pending.get(String(id));
    if (request === undefined) {
      return;
    }
    this.pending.delete(String(id));
    clearTimeout(request.timer);
    if (error === undefined) {
      request.resolve(json(result, 200));
    } else if (error.status === 0) {
      request.reject(new Error(error.message));
    } else {
      request.resolve(json(error, error.status));
    }
  };

  private timeOut(id: string): void {
    const message = 'The kernel does not answer. Wait until it is idle, or restart it.';
    this.pending.get(id)?.reject(new Error(message));
    this.pending.delete(id);
  }
}

/**
 * Return a subscription that polls, because the kernel has no event stream.
 *
 * It polls at once and every two seconds, while there are listeners and the page is visible.
 *
 * @param readState - returns a JSON value that differs after a change
 */
export function subscribeByPolling(readState: () => Promise<unknown>): Subscribe {
  const listeners = new Set<ChangeListener>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let previous: string | null = null;
  let isMissed = false;
  let round = 0;

  const poll = async (own: number, isFirst = false): Promise<void> => {
    if (isFirst || !document.hidden) {
      await compare();
    }
    if (own === round && listeners.size > 0) {
      timer = setTimeout(() => void poll(own), POLL_INTERVAL_MS);
    }
  };
  const compare = async (): Promise<void> => {
    let current: string;
    try {
      current = JSON.stringify(await readState());
    } catch {
      isMissed = true;
      return;
    }
    if (isMissed || (previous !== null && previous !== current)) {
      [...listeners].forEach(listener => listener(null));
    }
    previous = current;
    isMissed = false;
  };
  const begin = (): void => {
    round += 1;
    previous = null;
    isMissed = false;
    // The first state is read at once: listeners read theirs now, too, and miss no change since.
    void poll(round, true);
  };
  return listener => {
    // The wrapper is unique, so that a listener can subscribe twice.
    const wrapper: ChangeListener = change => listener(change);
    listeners.add(wrapper);
    if (listeners.size === 1) {
      begin();
    }
    return () => {
      listeners.delete(wrapper);
      if (listeners.size === 0) {
        clearTimeout(timer);
      }
    };
  };
}

function json(value: unknown, status: number): Response {
  return new Response(JSON.stringify(value ?? null), { status });
}
