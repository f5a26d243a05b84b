import { describe, expect, it, vi } from 'vitest';

import type { ApiError } from '../../src/core/host';
import { fileUrls, RestHost } from '../../src/core/rest-host';
import { makeHealth, makeRun } from './fake-host';

function hostWith(respond: () => Response | Promise<Response>): {
  host: RestHost;
  request: ReturnType<typeof vi.fn>;
} {
  const request = vi.fn(async () => await respond());
  return { host: new RestHost('/user/ada/', request, () => () => undefined), request };
}

function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), { status });
}

async function rejection(respond: () => Response | Promise<Response>): Promise<ApiError> {
  const { host } = hostWith(respond);
  return host.get('1').then(
    () => Promise.reject(new Error('the request did not fail')),
    (error: unknown) => error as ApiError
  );
}

describe('RestHost', () => {
  it('requests pages of runs', async () => {
    const { host, request } = hostWith(() => json([makeRun('1')]));
    const runs = await host.list({ status: 'paused', workflow: 'a b', limit: 50, before: '7' });
    expect(runs[0]?.id).toBe('1');
    expect(request.mock.calls[0]?.[0]).toBe(
      '/user/ada/pdflow/api/runs?status=paused&workflow=a+b&limit=50&before=7'
    );
    await host.list({});
    expect(request.mock.calls[1]?.[0]).toBe('/user/ada/pdflow/api/runs');
  });

  it('sends resume, reject and cancel with the actor “button”', async () => {
    const { host, request } = hostWith(() => json(makeRun('1')));
    await host.resume('a/b', { ok: true });
    await host.resume('1', undefined);
    await host.cancel('1', 'no');
    await host.resume('1', 2, 'fine', '2026-01-01T00:00:00.000Z');
    await host.reject('1', 'too dear');
    const bodies = request.mock.calls.map(
      call => JSON.parse((call[1] as { body: string }).body) as unknown
    );
    expect(bodies).toEqual([
      { data: { ok: true }, by: 'button' },
      { data: null, by: 'button' },
      { reason: 'no', by: 'button' },
      { data: 2, note: 'fine', since: '2026-01-01T00:00:00.000Z', by: 'button' },
      { note: 'too dear', by: 'button' }
    ]);
    expect(request.mock.calls[4]?.[0]).toBe('/user/ada/pdflow/api/runs/1/reject');
    expect(request.mock.calls[0]?.[0]).toBe('/user/ada/pdflow/api/runs/a%2Fb/resume');
    expect(request.mock.calls[2]?.[1]).toMatchObject({ method: 'POST' });
  });

  it('returns the outputs of steps, with the lines of each text joined', async () => {
    const data = {
      'text/html': ['<b>', 'x</b>'],
      'application/json': ['a', 'b'],
      'text/plain': 'x'
    };
    const output = { output_type: 'display_data', data, metadata: {} };
    const stream = { output_type: 'stream', name: 'stdout', text: ['a\n', 'b'] };
    const { host, request } = hostWith(() => json({ ask: [output, stream], pay: [] }));
    expect(await host.outputs('1')).toEqual({
      ask: [
        { ...output, data: { ...data, 'text/html': '<b>x</b>' } },
        { ...stream, text: 'a\nb' }
      ],
      pay: []
    });
    expect(request.mock.calls[0]?.[0]).toBe('/user/ada/pdflow/api/runs/1/outputs');
  });

  it('lists the files of a run and returns their URLs', async () => {
    const file = { path: 'a b/ü.txt', size: 1, modified_at: '2026-11-22T10:00:00.000Z' };
    const { host, request } = hostWith(() => json([file]));
    expect(await host.files('a/b')).toEqual([file]);
    expect(request.mock.calls[0]?.[0]).toBe('/user/ada/pdflow/api/runs/a%2Fb/files');
    expect(host.fileUrl).toBeUndefined();
    expect(fileUrls('/user/ada/')('1', file.path)).toBe(
      '/user/ada/pdflow/api/runs/1/files/a%20b/%C3%BC.txt'
    );
  });

  it('returns the state of the workers', async () => {
    const { host, request } = hostWith(() => json(makeHealth({ queued: 3 })));
    expect((await host.health()).queued).toBe(3);
    expect(request.mock.calls[0]?.[0]).toBe('/user/ada/pdflow/api/health');
  });

  it('rejects with the error of the server', async () => {
    const error = await rejection(() => json({ message: 'Too late.', reason: 'ended' }, 409));
    expect(error).toMatchObject({ message: 'Too late.', reason: 'ended', status: 409 });
  });

  it('rejects with what is wrong with the fields of an answer', async () => {
    const errors = [{ field: 'amount', message: 'This is required.' }];
    const body = { message: 'Not valid.', reason: 'invalid_answer', errors: [...errors, 7] };
    expect((await rejection(() => json(body, 422))).errors).toEqual(errors);
    expect((await rejection(() => json({ errors: 'odd' }, 422))).errors).toEqual([]);
  });

  it('rejects with the HTTP status for errors of a proxy', async () => {
    const proxied = await rejection(
      () => new Response('<html>', { status: 502, statusText: 'Bad Gateway' })
    );
    expect(proxied).toMatchObject({
      message: 'The server answered 502 Bad Gateway',
      reason: 'error',
      status: 502
    });
    expect(await rejection(() => json('odd', 400))).toMatchObject({ reason: 'error', status: 400 });
  });

  it('rejects if the response is not JSON', async () => {
    const error = await rejection(() => new Response('<html>login</html>'));
    expect(error).toMatchObject({ reason: 'unreadable', status: 200 });
  });

  it('rejects with status 0 if there was no response', async () => {
    const error = await rejection(() => Promise.reject(new TypeError('Failed to fetch')));
    expect(error).toMatchObject({ reason: 'network', status: 0 });
  });

  it('has only the optional methods that it was given', () => {
    const openNotebook = vi.fn();
    const unsubscribe = vi.fn();
    const subscribe = vi.fn(() => unsubscribe);
    const host = new RestHost('/', () => Promise.resolve(json([])), subscribe, { openNotebook });
    host.openNotebook?.('1');
    expect(openNotebook).toHaveBeenCalledWith('1');
    expect(host.renderOutputs).toBeUndefined();
    const listener = vi.fn();
    host.onChange(listener)();
    expect(subscribe).toHaveBeenCalledWith(listener);
    expect(unsubscribe).toHaveBeenCalled();
  });
});
