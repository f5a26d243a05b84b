/** Loads the views, once for all widgets of a page. */
import type { WidgetModel } from './kernel-channel';
import { pageGlobals } from './page-globals';
import type { PageServer } from './page-server';

/** What a view is drawn with. The loader of a saved notebook may be older: only add to this. */
export interface ViewContext {
  model: WidgetModel;
  el: HTMLElement;
  /** The page's server if it has the runs, or null if the kernel has to be asked. */
  server: PageServer | null;
  /** The kernel's messages that arrived before. */
  missed: readonly unknown[];
}

/** The module `views.js`. */
export interface ViewsModule {
  render(context: ViewContext): () => void;
}

/** The views of a page. */
export interface Views {
  module: ViewsModule;
  /** The style sheet's text. */
  style: string;
  /** Names this copy. */
  key: string;
}

/** The kernel's copy of the views, as texts. */
interface Copy {
  module: string;
  style: string;
}

interface CopyReply {
  id?: unknown;
  result?: Copy;
  error?: { message: string };
}

declare const PDFLOW_VIEWS_VERSION: string;
/** The hash of the views that were built together with this loader. */
export const VIEWS_VERSION = PDFLOW_VIEWS_VERSION;

const MESSAGE = 'msg:custom';
const SILENT = 'The kernel does not answer. Wait until it is idle, or restart it.';
const REPLY_TIMEOUT_MS = 120_000;
/** How long a widget waits for what another one loads: that one's kernel may be gone. */
const PATIENCE_MS = 5_000;

/**
 * Return the views, from the page's server or else from the kernel, or null if they are not needed
 * any more.
 *
 * @param server - the page's server if it may be asked
 * @param signal - tells that the widget is removed
 */
export function loadViews(
  model: WidgetModel,
  server: PageServer | null,
  signal: AbortSignal
): Promise<Views | null> {
  const fromKernel = (): Promise<Views | null> =>
    loadOnce(VIEWS_VERSION, signal, async () => {
      const copy = await askForCopy(model, signal);
      return copy && (await importCopy(copy));
    });
  if (server === null) {
    return fromKernel();
  }
  // An older server has no such files, and the page's security policy may forbid to import them.
  return loadOnce(viewsUrl(server, 'js'), signal, () => fromServer(server).catch(fromKernel));
}

/** Return the URL of a file of the views. It has the version, so that the browser keeps the file. */
export function viewsUrl({ baseUrl }: PageServer, type: 'css' | 'js'): string {
  return `${baseUrl}pdflow/static/views.${type}?v=${VIEWS_VERSION}`;
}

/** Load what no other widget has loaded, or loads. Returns null once the signal is aborted. */
async function loadOnce(
  key: string,
  signal: AbortSignal,
  load: () => Promise<Views | null>
): Promise<Views | null> {
  const { loads } = pageGlobals();
  while (!signal.aborted) {
    const others = loads[key];
    const first = others ? Promise.race([others, pause(PATIENCE_MS)]) : keep(loads, key, load());
    const found = await first;
    if (found !== null) {
      return found;
    }
    if (loads[key] === others) {
      forget(loads, key);
    }
  }
  return null;
}

/** Keep a promise while it may have a result. */
async function keep<T>(
  promises: Partial<Record<string, Promise<T>>>,
  key: string,
  promise: Promise<T>
): Promise<T> {
  promises[key] = promise;
  let result: T | null = null;
  try {
    return (result = await promise);
  } finally {
    // Another widget may have begun anew.
    if (result === null && promises[key] === promise) {
      forget(promises, key);
    }
  }
}

function forget(promises: Partial<Record<string, unknown>>, key: string): void {
  // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
  delete promises[key];
}

async function fromServer(server: PageServer): Promise<Views> {
  const key = viewsUrl(server, 'js');
  const [module, style] = await Promise.all([
    importModule(key),
    fetchText(viewsUrl(server, 'css'))
  ]);
  return { module, style, key };
}

async function fetchText(url: string): Promise<string> {
  const response = await fetch(url, { credentials: 'same-origin' });
  if (!response.ok) {
    throw new Error(`${url} is not there.`);
  }
  return response.text();
}

/** Import the kernel's copy, unless another widget has received it in the meantime. */
function importCopy({ module, style }: Copy): Promise<Views> {
  const { copies } = pageGlobals();
  const importOwn = async (): Promise<Views> => {
    return { module: await importText(module), style, key: VIEWS_VERSION };
  };
  return copies[VIEWS_VERSION] ?? keep(copies, VIEWS_VERSION, importOwn());
}

async function importText(text: string): Promise<ViewsModule> {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
  try {
    return await importModule(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

function importModule(url: string): Promise<ViewsModule> {
  return import(/* @vite-ignore */ url) as Promise<ViewsModule>;
}

/** Ask the kernel for its copy of the views. Returns null if the widget is removed before. */
async function askForCopy(model: WidgetModel, signal: AbortSignal): Promise<Copy | null> {
  const id = `views-${Math.random().toString(36).slice(2)}`;
  const done = new AbortController();
  const reply = new Promise<CopyReply>(resolve => {
    const onMessage = (content: unknown): void => {
      const message = (content ?? {}) as CopyReply;
      if (message.id === id) {
        resolve(message);
      }
    };
    model.on(MESSAGE, onMessage);
    done.signal.addEventListener('abort', () => model.off(MESSAGE, onMessage));
  });
  const removed = new Promise<null>(resolve => {
    signal.addEventListener('abort', () => resolve(null), { signal: done.signal });
  });
  const late = new Promise<CopyReply>(resolve => {
    const timer = setTimeout(() => resolve({ error: { message: SILENT } }), REPLY_TIMEOUT_MS);
    done.signal.addEventListener('abort', () => clearTimeout(timer));
  });
  model.send({ id, method: 'module' });
  const first = await Promise.race([reply, removed, late]);
  done.abort();
  return first && copyIn(first);
}

function copyIn({ result, error }: CopyReply): Copy {
  if (result === undefined) {
    throw new Error(error?.message ?? 'The kernel has no views.');
  }
  return result;
}

function pause(ms: number): Promise<null> {
  return new Promise(resolve => setTimeout(() => resolve(null), ms));
}
