import type { ChangeListener } from '../core/host';
import type { SendRequest, Subscribe } from '../core/rest-host';

const POLL_MS = 2000;
const ANSWER_MS = 120_000;
const API = 'pdflow/api/';

/** What is used of a widget's model. */
export interface Model {
  get(name: string): unknown;
  send(content: unknown): void;
  on(name: string, callback: (content: unknown) => void): void;
  off(name: string, callback: (content: unknown) => void): void;
}

/** The kernel's answer to a request. */
interface Answer {
  id: number | string;
  result?: unknown;
  error?: { message: string; reason: string; status: number };
}

interface Asked {
  resolve(response: Response): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
}

/** Sends requests to the server through the kernel, for pages that can't reach it. */
export class KernelChannel {
  private readonly asked = new Map<string, Asked>();
  private readonly name = Math.random().toString(36).slice(2);
  private count = 0;

  /** @param model - the widget's model */
  constructor(private readonly model: Model) {
    model.on('msg:custom', this.take);
  }

  /** Send a request; a stand-in for `fetch`. */
  readonly request: SendRequest = (url, init) => {
    const { pathname, search } = new URL(url, 'http://kernel/');
    const path = pathname.slice(pathname.indexOf(API) + API.length) + search;
    const post = init.method === 'POST';
    const args = post ? [path, JSON.parse(init.body as string) as unknown] : [path];
    const id = `${this.name}-${(this.count += 1)}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.giveUp(id), ANSWER_MS);
      this.asked.set(id, { resolve, reject, timer });
      this.model.send({ id, method: post ? 'POST' : 'GET', args });
    });
  };

  /** Take no more answers. */
  dispose(): void {
    this.model.off('msg:custom', this.take);
    this.asked.forEach(({ timer }) => clearTimeout(timer));
    this.asked.clear();
  }

  private readonly take = (content: unknown): void => {
    const { id, result, error } = (content ?? {}) as Answer;
    const asked = this.asked.get(String(id));
    if (asked === undefined) {
      return;
    }
    this.asked.delete(String(id));
    clearTimeout(asked.timer);
    if (error === undefined) {
      asked.resolve(json(result, 200));
    } else if (error.status === 0) {
      asked.reject(new Error(error.message));
    } else {
      asked.resolve(json(error, error.status));
    }
  };

  private giveUp(id: string): void {
    const words = 'The kernel does not answer; it may be busy or gone.';
    this.asked.get(id)?.reject(new Error(words));
    this.asked.delete(id);
  }
}

/**
 * Hear of changes through the kernel, which has no stream of events: while someone listens and
 * the page is seen, ask every two seconds.
 *
 * @param look - asks for what a change would make another
 */
export function pollingSubscriber(look: () => Promise<unknown>): Subscribe {
  const listeners = new Set<ChangeListener>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let before: string | null = null;

  const turn = async (): Promise<void> => {
    if (!document.hidden) {
      await compare();
    }
    if (listeners.size > 0) {
      timer = setTimeout(() => void turn(), POLL_MS);
    }
  };
  const compare = async (): Promise<void> => {
    let now: string;
    try {
      now = JSON.stringify(await look());
    } catch {
      return;
    }
    if (before !== null && before !== now) {
      [...listeners].forEach(listener => listener(null));
    }
    before = now;
  };
  return listener => {
    const own: ChangeListener = change => listener(change);
    listeners.add(own);
    if (listeners.size === 1) {
      timer = setTimeout(() => void turn(), POLL_MS);
    }
    return () => {
      listeners.delete(own);
      if (listeners.size === 0) {
        clearTimeout(timer);
      }
    };
  };
}

function json(value: unknown, status: number): Response {
  return new Response(JSON.stringify(value ?? null), { status });
}
