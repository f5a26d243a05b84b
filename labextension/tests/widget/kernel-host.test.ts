import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../../src/core/host';
import type { ViewSpec } from '../../src/widget/widget-host';
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

  it('returns the outputs of the executed notebook', async () => {
    const output = { output_type: 'stream', name: 'stdout', text: 'hello' };
    const cells = [{ source: '%%step ask\nx', outputs: [output] }];
    const { host } = makeKernelHost(new FakeModel(() => ({ result: { cells } })), VIEW);

    expect(await host.outputs('a')).toEqual({ ask: [output] });
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

    await vi.advanceTimersByTimeAsync(4100);
    expect(model.sent).toHaveLength(2);
    expect(listener).not.toHaveBeenCalled();
    updated = '2';
    await vi.advanceTimersByTimeAsync(2000);
    expect(listener.mock.calls).toEqual([[null]]);
    end();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(model.sent).toHaveLength(3);
  });

  it('polls the newest and the paused runs for a list', async () => {
    const model = new FakeModel(() => ({ result: [] }));
    const view: ViewSpec = { kind: 'runs', workflow: 'w', probe: '' };
    const end = makeKernelHost(model, view).host.onChange(() => undefined);
    await vi.advanceTimersByTimeAsync(2100);
    end();
    expect(model.sent.map(({ args }) => args[0])).toEqual([
      'runs?workflow=w&limit=50',
      'runs?workflow=w&limit=200&status=paused'
    ]);
  });
});
