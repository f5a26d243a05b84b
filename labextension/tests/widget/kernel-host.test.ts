import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../../src/core/host';
import type { ViewSpec } from '../../src/widget/view-spec';
import { makeKernelHost } from '../../src/widget/widget-host';
import { FakeModel, run } from './fake-model';

const VIEW: ViewSpec = { kind: 'run', run: 'a', probe: 'runs/a' };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('makeKernelHost', () => {
  it('sends requests of the REST API', async () => {
    const model = new FakeModel(({ args }) => ({ result: [run(String(args[0]))] }));
    const { host } = makeKernelHost(model, VIEW);

    await host.list({ status: 'paused', workflow: 'a b', limit: 5 });
    await host.get('x/y');
    await host.resume('x', { ok: true });
    await host.cancel('x', null);
    await host.reject('x', 'no');
    expect(model.sent.map(({ method, args }) => [method, ...args])).toEqual([
      ['GET', 'runs?status=paused&workflow=a+b&limit=5'],
      ['GET', 'runs/x%2Fy'],
      ['POST', 'runs/x/resume', { data: { ok: true }, by: 'button' }],
      ['POST', 'runs/x/cancel', { reason: null, by: 'button' }],
      ['POST', 'runs/x/reject', { note: 'no', by: 'button' }]
    ]);
    expect(new Set(model.sent.map(({ id }) => id)).size).toBe(5);
  });

  it('sends requests for what belongs to a run, and for versions of workflows', async () => {
    const model = new FakeModel(() => ({ result: {} }));
    const { host } = makeKernelHost(model, VIEW);

    await host.counts({ search: 'a b' });
    await host.files('a');
    await host.emails('a');
    await host.retryEmail('m');
    await host.history('a');
    await host.workflow('w');
    await host.versions('w');
    await host.source('w', 'v');
    await host.start('w', [1]);
    const offset = -new Date().getTimezoneOffset();
    expect(model.sent.map(({ method, args }) => [method, ...args])).toEqual([
      ['GET', `runs/counts?search=a+b&offset=${offset}`],
      ['GET', 'runs/a/files'],
      ['GET', 'mail?run=a'],
      ['POST', 'mail/m/retry', {}],
      ['GET', 'runs/a/history'],
      ['GET', 'workflows/w'],
      ['GET', 'workflows/w/versions'],
      ['GET', 'workflows/w/versions/v'],
      ['POST', 'workflows/w/runs', { event: [1], by: 'button' }]
    ]);
  });

  it('returns the outputs of the steps', async () => {
    const output = { output_type: 'stream', name: 'stdout', text: ['hel', 'lo'] };
    const model = new FakeModel(() => ({ result: { ask: [output] } }));
    const { host } = makeKernelHost(model, VIEW);

    expect(await host.outputs('a')).toEqual({ ask: [{ ...output, text: 'hello' }] });
    expect(model.sent[0].args).toEqual(['runs/a/outputs']);
  });

  it('rejects with the error of the server', async () => {
    const errors = [{ field: 'amount', message: 'This is required.' }];
    const error = { message: 'Not valid.', reason: 'invalid_answer', status: 422, errors };
    const { host } = makeKernelHost(new FakeModel(() => ({ error })), VIEW);

    const refused = await host.resume('a', null).catch((reason: unknown) => reason);
    expect(refused).toBeInstanceOf(ApiError);
    expect(refused).toMatchObject(error);
  });

  it('rejects if the server or the kernel does not answer', async () => {
    const error = { message: 'No server answers.', reason: 'no_server', status: 0 };
    const gone = makeKernelHost(new FakeModel(() => ({ error })), VIEW).host;
    await expect(gone.get('a')).rejects.toMatchObject({ message: error.message, status: 0 });

    const silent = makeKernelHost(new FakeModel(() => null), VIEW).host.get('a');
    const settled = expect(silent).rejects.toMatchObject({
      message: 'The kernel does not answer. Wait until it is idle, or restart it.'
    });
    await vi.runAllTimersAsync();
    await settled;
  });

  it('ignores unrelated messages, and stops listening when disposed of', () => {
    const model = new FakeModel(() => null);
    const own = makeKernelHost(model, VIEW);
    model.receive(null);
    model.receive({ id: 'other', result: 1 });
    own.dispose();
    expect(model.listeners.size).toBe(0);
  });

  it('polls every two seconds while there are listeners, and notifies of changes only', async () => {
    let updated = '1';
    const model = new FakeModel(() => ({ result: { ...run('a'), updated_at: updated } }));
    const { host } = makeKernelHost(model, VIEW);
    const listener = vi.fn();
    const end = host.onChange(listener);

    await vi.advanceTimersByTimeAsync(2100);
    expect(model.sent).toHaveLength(2);
    expect(listener).not.toHaveBeenCalled();
    updated = '2';
    await vi.advanceTimersByTimeAsync(2000);
    expect(listener.mock.calls).toEqual([[null]]);
    end();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(model.sent).toHaveLength(3);
  });

  it('notifies once requests succeed again, since changes may have been missed', async () => {
    let isDown = false;
    const error = { message: 'No server answers.', reason: 'no_server', status: 0 };
    const model = new FakeModel(() => (isDown ? { error } : { result: run('a') }));
    const listener = vi.fn();
    const end = makeKernelHost(model, VIEW).host.onChange(listener);
    await vi.advanceTimersByTimeAsync(100);
    isDown = true;
    await vi.advanceTimersByTimeAsync(4000);
    expect(listener).not.toHaveBeenCalled();
    isDown = false;
    await vi.advanceTimersByTimeAsync(4000);
    expect(listener).toHaveBeenCalledTimes(1);
    end();
  });

  it('polls the newest and the paused runs for a list', async () => {
    const model = new FakeModel(() => ({ result: [] }));
    const view: ViewSpec = { kind: 'runs', workflow: 'w', probe: '' };
    const end = makeKernelHost(model, view).host.onChange(() => undefined);
    await vi.advanceTimersByTimeAsync(1900);
    end();
    expect(model.sent.map(({ args }) => args[0])).toEqual([
      'runs?workflow=w&limit=50',
      'runs?workflow=w&limit=200&status=paused'
    ]);
  });

  const LATEST = 'runs?workflow=w&limit=1';
  const STEP: ViewSpec = { kind: 'step', step: 'ask', workflow: 'w', run: 'a', probe: '' };
  it.each([
    ['the latest run of a workflow', { ...STEP, follow: true }, LATEST],
    ['the latest run where there was none', { ...STEP, follow: true, run: null }, LATEST],
    ['the run of a step that follows no workflow', { ...STEP, follow: false }, 'runs/a'],
    ['the run of a step of saved outputs', { ...STEP, workflow: undefined }, 'runs/a']
  ])('polls %s', async (_, view, path) => {
    const model = new FakeModel(() => ({ result: path === LATEST ? [run('a')] : run('a') }));
    const end = makeKernelHost(model, view).host.onChange(() => undefined);
    await vi.advanceTimersByTimeAsync(1900);
    end();
    expect(model.sent.map(({ args }) => args[0])).toEqual([path]);
  });

  it('notifies of a later run of the workflow', async () => {
    let latest = run('a');
    const listener = vi.fn();
    const model = new FakeModel(() => ({ result: [latest] }));
    const end = makeKernelHost(model, { ...STEP, follow: true }).host.onChange(listener);
    await vi.advanceTimersByTimeAsync(10);
    latest = run('b');
    await vi.advanceTimersByTimeAsync(2000);
    end();
    expect(listener.mock.calls).toEqual([[null]]);
  });
});
