import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as views from '../../src/views';
import { registerExtras } from '../../src/widget/page-globals';
import type { PageServer } from '../../src/widget/page-server';
import { serverOfRuns } from '../../src/widget/page-server';
import type { SettledRuns } from '../../src/widget/settled-runs';
import type { ViewSpec } from '../../src/widget/view-spec';
import { connect } from '../../src/widget/widget-host';
import { one } from '../core/helpers';
import { answerTo, FakeModel, run } from './fake-model';

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

/** Return what a widget on this page reads its runs with. */
async function connectTo(model: FakeModel, spec: ViewSpec = VIEW): Promise<SettledRuns> {
  return connect(model, spec, await serverOfRuns(spec.probe ?? '', document)).settled;
}

describe('connect', () => {
  it('calls the page’s server if that server has the run', async () => {
    document.cookie = '_xsrf=2|abc';
    addJupyterConfig({ baseUrl: '/user/me/', token: 'secret' });
    respondWith(200);
    const model = new FakeModel(() => null);
    const { host } = (await connectTo(model)).runs;
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

  it('asks the kernel if the page’s server does not have the run', async () => {
    addJupyterConfig({ baseUrl: '/' });
    respondWith(404);
    const model = new FakeModel(() => ({ result: run('a') }));
    const { host } = (await connectTo(model)).runs;

    expect((await host.get('a')).id).toBe('a');
    expect(fetched).toHaveBeenCalledTimes(1);
    expect(model.sent).toHaveLength(1);
  });

  it('asks the kernel if the server can’t be reached or did not serve the page', async () => {
    const model = new FakeModel(() => ({ result: run('a') }));
    await (await connectTo(model)).runs.host.get('a');
    expect(fetched).not.toHaveBeenCalled();

    addJupyterConfig({ baseUrl: '/' });
    fetched.mockRejectedValue(new TypeError('Failed to fetch'));
    await (await connectTo(model)).runs.host.get('a');
    expect(model.sent).toHaveLength(2);
  });

  it('has the methods that the plugin registered, and downloads runs without it', async () => {
    addJupyterConfig({ baseUrl: '/' });
    respondWith(200);
    const extras = {
      renderOutputs: vi.fn(),
      openRun: vi.fn(),
      openCell: vi.fn(),
      cellSource: vi.fn(() => 'x')
    };
    registerExtras(extras);
    const { host } = (await connectTo(new FakeModel(() => null))).runs;
    expect(host).toMatchObject(extras);
    expect('openNotebook' in host).toBe(true);
    registerExtras({});
    expect((await connectTo(new FakeModel(() => null))).runs.host).not.toMatchObject(extras);
  });

  it('reads the runs of the page’s server once for all widgets', async () => {
    addJupyterConfig({ baseUrl: '/shared/' });
    respondWith(200);
    const [first, second] = [new FakeModel(() => null), new FakeModel(() => null)];
    expect(await connectTo(first)).toBe(await connectTo(second));
    document.body.replaceChildren();
    expect(await connectTo(first)).not.toBe(await connectTo(second));
  });
});

describe('SettledRuns', () => {
  it('calls back for settled runs, until that is ended', async () => {
    const states = ['running', 'paused', 'failed', 'failed'] as const;
    const replies = states.map(status => run('a', { status }));
    const settled = await connectTo(new FakeModel(() => ({ result: replies.shift() })));
    const listener = vi.fn();
    const end = settled.subscribe(({ status }) => void listener(status));
    for (let number = 0; number < 3; number += 1) {
      await settled.runs.host.get('a');
    }
    end();
    await settled.runs.host.get('a');
    expect(listener.mock.calls).toEqual([['paused'], ['failed']]);
  });
});

function modelOf(view: object, state = () => run('a')): FakeModel {
  return new FakeModel(
    ({ method, args }) =>
      method === 'GET' ? { result: answerTo(String(args[0]), state()) } : null,
    { view }
  );
}

function draw(model: FakeModel, el: HTMLElement, server: PageServer | null = null): () => void {
  return views.render({ model, el, server, missed: [] });
}

describe('the views', () => {
  it('shows a run, reports once that it is settled, and cleans up', async () => {
    const model = modelOf(VIEW);
    const el = document.body.appendChild(document.createElement('div'));
    const dispose = draw(model, el);
    await vi.waitFor(() => expect(el.textContent).toContain('ask'));
    await vi.waitFor(() => {
      expect(model.sent.filter(({ method }) => method === 'settled')).toHaveLength(1);
    });
    dispose();
    expect(el.textContent).toBe('');
    expect(model.listeners.size).toBe(0);
  });

  it('follows the latest run of a workflow below a step, and reports each settled state', async () => {
    const stamps = { a: '2026-11-22T11:00:00Z', b: '2026-11-22T12:00:00Z' };
    let latest: keyof typeof stamps = 'a';
    const view = { kind: 'step', step: 'ask', workflow: 'w', run: 'a', follow: true, probe: '' };
    const model = modelOf(view, () =>
      run(latest, { title: `Run ${latest}`, updated_at: stamps[latest] })
    );
    const el = document.body.appendChild(document.createElement('div'));
    const dispose = draw(model, el);
    const reports = (): unknown[] => model.sent.filter(({ method }) => method === 'settled');
    await vi.waitFor(() => expect(el.textContent).toContain('Run a'));
    expect(reports()).toHaveLength(1);
    latest = 'b';
    await vi.waitFor(() => expect(el.textContent).toContain('Run b'), { timeout: 15_000 });
    expect(reports()).toHaveLength(2);
    dispose();
    expect(el.textContent).toBe('');
    expect(model.listeners.size).toBe(0);
  });

  it('shows a step of one run, as outputs of older notebooks ask for', async () => {
    const view = { kind: 'step', step: 'ask', run: 'a', probe: 'runs/a' };
    const model = modelOf(view);
    const el = document.body.appendChild(document.createElement('div'));
    const dispose = draw(model, el);
    await vi.waitFor(() => expect(el.textContent).toContain('Waiting'));
    expect(model.sent[0].args).toEqual(['runs/a']);
    dispose();
  });

  it('delays the report while the focus is in one of its views', async () => {
    let state = run('a', { status: 'running', pause: null });
    const model = modelOf({ kind: 'step', step: 'ask', run: 'a', probe: '' }, () => state);
    const elements = [0, 1].map(() => document.body.appendChild(document.createElement('div')));
    const disposals = elements.map(el => draw(model, el));
    await vi.waitFor(() => expect(elements[0].querySelector('article')).not.toBeNull());
    const field = one(elements[0], 'article').appendChild(document.createElement('input'));
    field.focus();
    state = run('a', { status: 'failed', pause: null });
    const again = draw(model, elements[1]);
    await vi.waitFor(() => expect(one(elements[1], 'article').dataset.status).toBe('failed'));
    const reports = (): unknown[] => model.sent.filter(({ method }) => method === 'settled');
    expect(reports()).toEqual([]);
    field.blur();
    await vi.waitFor(() => expect(reports()).toHaveLength(1));
    [...disposals, again].forEach(dispose => dispose());
  });

  it('shows a list', async () => {
    const model = modelOf({ kind: 'runs', workflow: 'w', status: null, probe: '' });
    const el = document.body.appendChild(document.createElement('div'));
    const dispose = draw(model, el);
    await vi.waitFor(() => expect(el.querySelector('[data-run="a"]')).not.toBeNull());
    dispose();
  });

  it('requests only the runs of a status', async () => {
    const model = modelOf({ kind: 'runs', workflow: null, status: 'paused', probe: '' });
    const el = document.body.appendChild(document.createElement('div'));
    const dispose = draw(model, el);
    await vi.waitFor(() => expect(el.querySelector('[data-run="a"]')).not.toBeNull());
    const paths = model.sent.flatMap(({ args }) => args.map(String));
    const lists = paths.filter(path => path.startsWith('runs?limit=200'));
    expect(new Set(lists)).toEqual(new Set(['runs?limit=200&status=paused']));
    dispose();
  });

  it('report only the runs that they show, though they share what is read', async () => {
    fetched.mockImplementation(url => {
      const path = (url as string).split('/pdflow/api/')[1];
      const read = run(path.split(/[/?]/)[1], { workflow_id: path.includes('b') ? 'v' : 'w' });
      const body = JSON.stringify(answerTo(path, read));
      return Promise.resolve(new Response(body, { status: 200 }));
    });
    const server = { baseUrl: `${location.origin}/`, token: '' };
    const specs = [
      { kind: 'run', run: 'a' },
      { kind: 'run', run: 'b' },
      { kind: 'runs', workflow: 'x' }
    ];
    const models = specs.map(spec => modelOf(spec));
    const el = (): HTMLElement => document.body.appendChild(document.createElement('div'));
    const disposals = models.map(model => draw(model, el(), server));
    const reports = (): number[] => models.map(({ sent }) => sent.length);
    await vi.waitFor(() => expect(reports()).toEqual([1, 1, 0]));
    disposals.forEach(dispose => dispose());
  });
});
