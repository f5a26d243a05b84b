import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import widget from '../../src/widget';
import { registerExtras } from '../../src/widget/page-globals';
import { chooseHost, withSettledCallback } from '../../src/widget/widget-host';
import { FakeModel, run } from './fake-model';

const VIEW = { kind: 'run' as const, run: 'a', probe: 'runs/a' };
const fetched = vi.fn<typeof fetch>();

class SilentSocket {
  static readonly urls: string[] = [];
  onopen = null;
  onmessage = null;
  onclose = null;

  constructor(url: string) {
    SilentSocket.urls.push(url);
  }

  close(): void {
    // No connection was opened.
  }
}

function addJupyterConfig(config: object): void {
  const script = document.createElement('script');
  script.id = 'jupyter-config-data';
  script.type = 'application/json';
  script.textContent = JSON.stringify(config);
  document.body.append(script);
}

function respondWith(status: number, body: unknown = run('a')): void {
  fetched.mockImplementation(() => Promise.resolve(new Response(JSON.stringify(body), { status })));
}

beforeEach(() => {
  vi.stubGlobal('fetch', fetched);
  vi.stubGlobal('WebSocket', SilentSocket);
});
afterEach(() => {
  document.body.replaceChildren();
  fetched.mockReset();
  vi.unstubAllGlobals();
});

describe('chooseHost', () => {
  it('returns a host for the page’s server if that server has the run', async () => {
    document.cookie = '_xsrf=2|abc';
    addJupyterConfig({ baseUrl: '/user/me/', token: 'secret' });
    respondWith(200);
    const model = new FakeModel(() => null);
    const { host } = await chooseHost(model, VIEW);
    await host.resume('a', 1);

    const urls = fetched.mock.calls.map(([url]) => url);
    const api = `${location.origin}/user/me/pdflow/api`;
    expect(urls).toEqual([`${api}/runs/a`, `${api}/runs/a/resume`]);
    const headers = new Headers(fetched.mock.calls[1][1]?.headers);
    expect(headers.get('X-XSRFToken')).toBe('2|abc');
    expect(headers.get('Authorization')).toBe('token secret');
    expect(model.sent).toEqual([]);

    host.onChange(() => undefined)();
    const ws = `${location.origin.replace('http', 'ws')}/user/me/api/events/subscribe`;
    expect(SilentSocket.urls).toEqual([`${ws}?token=secret`]);
  });

  it('returns a host for the kernel if the page’s server does not have the run', async () => {
    addJupyterConfig({ baseUrl: '/' });
    respondWith(404);
    const model = new FakeModel(() => ({ result: run('a') }));
    const { host } = await chooseHost(model, VIEW);

    expect((await host.get('a')).id).toBe('a');
    expect(fetched).toHaveBeenCalledTimes(1);
    expect(model.sent).toHaveLength(1);
  });

  it('returns a host for the kernel if the server can’t be reached or did not serve the page', async () => {
    const model = new FakeModel(() => ({ result: run('a') }));
    await (await chooseHost(model, VIEW)).host.get('a');
    expect(fetched).not.toHaveBeenCalled();

    addJupyterConfig({ baseUrl: '/' });
    fetched.mockRejectedValue(new TypeError('Failed to fetch'));
    await (await chooseHost(model, VIEW)).host.get('a');
    expect(model.sent).toHaveLength(2);
  });

  it('renders outputs with the methods that the plugin registered', async () => {
    addJupyterConfig({ baseUrl: '/' });
    respondWith(200);
    const renderOutputs = vi.fn();
    registerExtras({ renderOutputs });
    const { host } = await chooseHost(new FakeModel(() => null), VIEW);
    host.renderOutputs?.([], document.body);
    expect(renderOutputs).toHaveBeenCalled();
    expect('openNotebook' in host).toBe(true);
    registerExtras({});
  });
});

describe('withSettledCallback', () => {
  it('calls back for settled runs', async () => {
    const states = [run('a', { status: 'running' }), run('a'), run('a', { status: 'failed' })];
    const { host } = await chooseHost(new FakeModel(() => ({ result: states.shift() })), VIEW);
    const settled = vi.fn();
    const reporting = withSettledCallback(host, ({ status }) => void settled(status));
    for (let number = 0; number < 3; number += 1) {
      await reporting.get('a');
    }
    expect(settled.mock.calls).toEqual([['paused'], ['failed']]);
  });
});

describe('the widget', () => {
  it('shows a run, reports once that it is settled, and cleans up', async () => {
    const model = new FakeModel(({ method }) => (method === 'GET' ? { result: run('a') } : null), {
      view: VIEW
    });
    const el = document.body.appendChild(document.createElement('div'));
    const dispose = await widget.render({ model, el });
    await vi.waitFor(() => expect(el.textContent).toContain('ask'));
    await vi.waitFor(() => {
      expect(model.sent.filter(({ method }) => method === 'settled')).toHaveLength(1);
    });
    dispose();
    expect(el.textContent).toBe('');
    expect(model.listeners.size).toBe(0);
  });

  it('delays the report while the focus is in one of its views', async () => {
    let state = run('a', { status: 'running' });
    const model = new FakeModel(({ method }) => (method === 'GET' ? { result: state } : null), {
      view: VIEW
    });
    const elements = [0, 1].map(() => document.body.appendChild(document.createElement('div')));
    const disposals = await Promise.all(elements.map(el => widget.render({ model, el })));
    const field = elements[0].appendChild(document.createElement('input'));
    field.focus();
    state = run('a', { status: 'failed' });
    const again = await widget.render({ model, el: elements[1] });
    await vi.waitFor(() => expect(elements[1].textContent).toContain('Ended'));
    const reports = (): unknown[] => model.sent.filter(({ method }) => method === 'settled');
    expect(reports()).toEqual([]);
    field.blur();
    await vi.waitFor(() => expect(reports()).toHaveLength(1));
    [...disposals, again].forEach(dispose => dispose());
  });

  it('shows a list', async () => {
    const model = new FakeModel(() => ({ result: [run('a')] }), {
      view: { kind: 'runs', workflow: 'w', status: null, probe: '' }
    });
    const el = document.body.appendChild(document.createElement('div'));
    const dispose = await widget.render({ model, el });
    await vi.waitFor(() => expect(el.textContent).toContain('1 waiting for a person'));
    dispose();
  });

  it('requests only the runs of a status', async () => {
    const model = new FakeModel(() => ({ result: [run('a')] }), {
      view: { kind: 'runs', workflow: null, status: 'paused', probe: '' }
    });
    const el = document.body.appendChild(document.createElement('div'));
    const dispose = await widget.render({ model, el });
    await vi.waitFor(() => expect(el.textContent).toContain('1 waiting for a person'));
    expect(model.sent.map(({ args }) => args)).toEqual([['runs?limit=200&status=paused']]);
    dispose();
  });
});
