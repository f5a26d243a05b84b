import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as realViews from '../../src/views';
import widget from '../../src/widget';
import { pageGlobals } from '../../src/widget/page-globals';
import type { ViewsModule } from '../../src/widget/views-module';
import { VIEWS_VERSION, viewsUrl } from '../../src/widget/views-module';
import { buttonOf, one } from '../core/helpers';
import type { SentMessage } from './fake-model';
import { answerTo, FakeModel, run } from './fake-model';

/** A copy of the views that shows what it is drawn with, and which copy it is. */
const COPY = `
  const copy = (globalThis.copies = (globalThis.copies ?? 0) + 1);
  export function render({ el, server, missed }) {
    const text = 'copy ' + copy + ' ' + JSON.stringify([server, missed]);
    const shown = el.appendChild(document.createElement('p'));
    shown.textContent = text;
    shown.className = 'shown';
    return () => shown.remove();
  }`;
const STYLE = '.shown { color: red }';
const page = globalThis as { copies?: number };

type Reply = (sent: SentMessage) => object | null;
const answer: Reply = () => ({ result: { module: COPY, style: STYLE } });
const silence: Reply = () => null;

function modelOf(reply: Reply = answer, view: object = { kind: 'runs', probe: '' }): FakeModel {
  return new FakeModel(reply, { view });
}

function makeElement(): HTMLElement {
  return document.body.appendChild(document.createElement('div'));
}

function addJupyterConfig(): void {
  const script = document.createElement('script');
  script.id = 'jupyter-config-data';
  script.type = 'application/json';
  script.textContent = JSON.stringify({ baseUrl: '/user/me/' });
  document.body.append(script);
}

/** Wait until an element shows a text. */
async function shows(el: HTMLElement, text: string): Promise<void> {
  await vi.waitFor(() => expect(el.textContent).toContain(text));
}

const methods = (model: FakeModel): string[] => model.sent.map(({ method }) => method);

beforeEach(() => {
  delete page.copies;
  // jsdom has no object URLs, and Node imports data URLs only. Those differ, so that each import
  // would be another copy.
  let count = 0;
  URL.createObjectURL = () => `data:text/javascript,${encodeURIComponent(`//${count++}\n${COPY}`)}`;
  URL.revokeObjectURL = () => undefined;
});
afterEach(() => {
  document.body.replaceChildren();
  document.head.replaceChildren();
  const { loads, copies } = pageGlobals();
  [loads, copies].forEach(each =>
    Object.keys(each).forEach(key => Reflect.deleteProperty(each, key))
  );
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('the widget on a page of no Jupyter server', () => {
  it('asks the kernel for its copy once, and shares it', async () => {
    const models = [modelOf(), modelOf(), modelOf(answer, { kind: 'form' })];
    const elements = models.map(makeElement);
    models.forEach((model, index) => widget.render({ model, el: elements[index] }));
    expect(elements.map(el => el.textContent)).toEqual(['Loading…', 'Loading…', 'Loading…']);
    expect(one(elements[0], 'div').style.minHeight).not.toBe('');
    for (const el of elements) {
      await shows(el, 'copy 1 [null,[');
    }
    expect(models.flatMap(methods)).toEqual(['module']);
    expect(document.head.querySelectorAll('style')).toHaveLength(1);
    expect(document.head.textContent).toBe(STYLE);
    expect(one(elements[0], 'div').style.minHeight).toBe('');
    expect(models.map(({ listeners }) => listeners.size)).toEqual([0, 0, 0]);
  });

  it('removes the view', async () => {
    const el = makeElement();
    const dispose = widget.render({ model: modelOf(), el });
    await shows(el, 'copy 1');
    dispose();
    expect(el.childNodes).toHaveLength(0);
  });

  it('brings the style sheet into a shadow root', async () => {
    const root = makeElement().attachShadow({ mode: 'open' });
    const el = root.appendChild(document.createElement('div'));
    widget.render({ model: modelOf(), el });
    await shows(el, 'copy 1');
    expect(one(root as unknown as ParentNode, 'style').textContent).toBe(STYLE);
    expect(document.head.querySelector('style')).toBeNull();
  });

  it('passes on the messages that arrive while it loads', async () => {
    const model = modelOf(silence);
    const el = makeElement();
    widget.render({ model, el });
    await vi.waitFor(() => expect(methods(model)).toEqual(['module']));
    model.receive({ id: 'errors', errors: [1] });
    model.receive({ id: model.sent[0].id, ...answer(model.sent[0]) });
    await shows(el, '{"id":"errors","errors":[1]}');
  });

  it('draws nothing after it was removed, and leaves loading to others', async () => {
    const removed = modelOf(silence);
    const el = makeElement();
    const dispose = widget.render({ model: removed, el });
    await vi.waitFor(() => expect(methods(removed)).toEqual(['module']));
    const other = modelOf();
    const otherEl = makeElement();
    widget.render({ model: other, el: otherEl });
    await new Promise(resolve => setTimeout(resolve));
    expect(methods(other)).toEqual([]);
    dispose();
    await vi.waitFor(() => expect(removed.listeners.size).toBe(0));
    removed.receive({ id: removed.sent[0].id, ...answer(removed.sent[0]) });
    await shows(otherEl, 'copy 1');
    expect(el.childNodes).toHaveLength(0);
  });

  it('does not wait for a kernel that is gone', async () => {
    vi.useFakeTimers();
    const [gone, goneEl] = [modelOf(silence), makeElement()];
    widget.render({ model: gone, el: goneEl });
    await vi.advanceTimersByTimeAsync(1000);
    const [model, el] = [modelOf(), makeElement()];
    widget.render({ model, el });
    await vi.advanceTimersByTimeAsync(4000);
    expect(methods(model)).toEqual([]);
    await vi.advanceTimersByTimeAsync(1000);
    vi.useRealTimers();
    await shows(el, 'copy 1');
    gone.receive({ id: gone.sent[0].id, ...answer(gone.sent[0]) });
    await shows(goneEl, 'copy 1');
  });

  it('says why it can’t load, and tries again', async () => {
    const replies = [{ error: { message: 'It is not built.' } }, answer({} as SentMessage)];
    const model = modelOf(() => replies.shift() ?? null);
    const el = makeElement();
    widget.render({ model, el });
    await shows(el, 'The view can’t be loaded. It is not built.');
    expect(one(el, '[role=alert]').textContent).toContain('It is not built.');
    const again = buttonOf(el, 'Try again');
    again.focus();
    again.click();
    expect(el.textContent).toBe('Loading…');
    expect(el.contains(document.activeElement)).toBe(true);
    await shows(el, 'copy 1');
    expect(el.contains(document.activeElement)).toBe(true);
  });

  it('tries again after a copy that can’t be imported', async () => {
    const working = URL.createObjectURL.bind(URL);
    URL.createObjectURL = () => 'data:text/javascript,throw new Error("no import")';
    const el = makeElement();
    widget.render({ model: modelOf(), el });
    await shows(el, 'no import');
    URL.createObjectURL = working;
    buttonOf(el, 'Try again').click();
    await shows(el, 'copy 1');
  });

  it('says that the kernel does not answer', async () => {
    vi.useFakeTimers();
    const el = makeElement();
    widget.render({ model: modelOf(silence), el });
    await vi.advanceTimersByTimeAsync(120_000);
    expect(el.textContent).toContain('The kernel does not answer.');
  });
});

describe('the widget on a page of a Jupyter server', () => {
  const server = { baseUrl: `${location.origin}/user/me/`, token: '' };
  const spec = { kind: 'run', run: 'a', probe: 'runs/a' };
  const key = viewsUrl(server, 'js');
  const fetched = vi.fn<typeof fetch>();

  /** Answer the probe with one status, and other files with another. */
  function respondWith(probe: number, files: number): void {
    fetched.mockImplementation(url => {
      const isProbe = (url as string).includes('/pdflow/api/');
      return Promise.resolve(new Response('', { status: isProbe ? probe : files }));
    });
  }

  function provide(module: ViewsModule): void {
    pageGlobals().loads[key] = Promise.resolve({ module, style: '', key });
  }

  beforeEach(() => {
    addJupyterConfig();
    fetched.mockReset();
    vi.stubGlobal('fetch', fetched);
  });

  it('has the address of the server’s copy, with the version', () => {
    const base = `${server.baseUrl}pdflow/static/views`;
    expect(viewsUrl(server, 'css')).toBe(`${base}.css?v=${VIEWS_VERSION}`);
  });

  it('uses the server’s copy if the server has the runs', async () => {
    respondWith(200, 404);
    const render = vi.fn<ViewsModule['render']>(() => () => undefined);
    provide({ render });
    const model = modelOf(answer, spec);
    widget.render({ model, el: makeElement() });
    await vi.waitFor(() => expect(render).toHaveBeenCalledTimes(1));
    expect(render.mock.calls[0][0]).toMatchObject({ model, server, missed: [] });
    expect(model.sent).toEqual([]);
  });

  it('uses the server’s copy for a form without asking whose runs the server has', async () => {
    const render = vi.fn<ViewsModule['render']>(() => () => undefined);
    provide({ render });
    widget.render({ model: modelOf(answer, { kind: 'form' }), el: makeElement() });
    await vi.waitFor(() => expect(render).toHaveBeenCalledTimes(1));
    expect(fetched).not.toHaveBeenCalled();
  });

  it('uses the kernel’s copy, once, if the server has none', async () => {
    respondWith(200, 404);
    const models = [modelOf(answer, spec), modelOf(answer, spec), modelOf(answer, spec)];
    const elements = models.map(makeElement);
    models.forEach((model, index) => widget.render({ model, el: elements[index] }));
    for (const el of elements) {
      await shows(el, `copy 1 ${JSON.stringify([server]).slice(0, -1)}`);
    }
    expect(models.flatMap(methods)).toEqual(['module']);
  });

  it('uses the kernel’s copy if the server has other runs', async () => {
    respondWith(404, 200);
    provide(realViews);
    const el = makeElement();
    widget.render({ model: modelOf(answer, spec), el });
    await shows(el, 'copy 1 [null');
  });

  it('keeps the room until the view has read what it shows', async () => {
    fetched.mockImplementation(url => {
      const body = answerTo((url as string).split('/pdflow/api/')[1], run('a'));
      return Promise.resolve(new Response(JSON.stringify(body)));
    });
    let isRead = (): void => undefined;
    const view = vi.fn<ViewsModule['render']>(context => {
      context.el.innerHTML = '<p class="jp-PDFlow-loading">Loading…</p>';
      isRead = () => context.el.replaceChildren('read');
      return () => undefined;
    });
    provide({ render: view });
    const el = makeElement();
    widget.render({ model: modelOf(answer, spec), el });
    await vi.waitFor(() => expect(view).toHaveBeenCalled());
    expect(one(el, 'div').style.minHeight).toBe('160px');
    isRead();
    await vi.waitFor(() => expect(one(el, 'div').style.minHeight).toBe(''));
  });

  it('draws the real views, and removes them', async () => {
    fetched.mockImplementation(url => {
      const body = answerTo((url as string).split('/pdflow/api/')[1], run('a'));
      return Promise.resolve(new Response(JSON.stringify(body)));
    });
    vi.stubGlobal(
      'WebSocket',
      class {
        close(): void {
          // No connection was opened.
        }
      }
    );
    provide(realViews);
    const el = makeElement();
    const dispose = widget.render({ model: modelOf(() => null, spec), el });
    await shows(el, 'ask');
    dispose();
    expect(el.childNodes).toHaveLength(0);
  });
});
