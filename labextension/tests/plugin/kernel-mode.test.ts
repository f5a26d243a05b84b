import type { Kernel } from '@jupyterlab/services';
import { describe, expect, it } from 'vitest';
import { fetchExecutedSteps, fetchMode, runMagic } from '../../src/plugin/kernel-mode';

interface ExecuteRequest {
  code: string;
  silent?: boolean;
  store_history?: boolean;
}

/** Return a kernel with a fixed reply, and the requests that were sent to it. */
function kernel(
  reply: object,
  printed: object[] = []
): [Kernel.IKernelConnection, ExecuteRequest[]] {
  const sent: ExecuteRequest[] = [];
  const requestExecute = (content: ExecuteRequest): object => {
    sent.push(content);
    const future = {
      onIOPub: (message: object): object => message,
      get done(): Promise<object> {
        printed.forEach(message => future.onIOPub(message));
        return Promise.resolve({ content: reply });
      }
    };
    return future;
  };
  return [{ requestExecute } as unknown as Kernel.IKernelConnection, sent];
}

function answer(text: string): object {
  const pdflow = { status: 'ok', data: { 'text/plain': text } };
  return { status: 'ok', user_expressions: { pdflow } };
}

describe('fetchMode', () => {
  it('reads the mode with a silent request', async () => {
    const [connection, sent] = kernel(answer('True'));
    expect(await fetchMode(connection)).toBe('production');
    expect(sent[0]).toMatchObject({ code: '', silent: true, store_history: false });
    expect(await fetchMode(kernel(answer('False'))[0])).toBe('test');
  });

  it('returns null if the extension is not loaded', async () => {
    const pdflow = { status: 'error', ename: 'AttributeError' };
    const [connection] = kernel({ status: 'ok', user_expressions: { pdflow } });
    expect(await fetchMode(connection)).toBeNull();
    expect(await fetchMode(kernel({ status: 'aborted' })[0])).toBeNull();
  });
});

describe('fetchExecutedSteps', () => {
  it('returns the code of the steps that were run', async () => {
    const data = { 'application/json': { ask: 'pass', bad: 1 } };
    const reply = { status: 'ok', user_expressions: { pdflow: { status: 'ok', data } } };
    const [connection, sent] = kernel(reply);
    expect([...(await fetchExecutedSteps(connection))]).toEqual([['ask', 'pass']]);
    expect(sent[0]).toMatchObject({ code: '', silent: true });
    expect((await fetchExecutedSteps(kernel({ status: 'aborted' })[0])).size).toBe(0);
  });
});

describe('runMagic', () => {
  it('returns the output', async () => {
    const output = {
      header: { msg_type: 'display_data' },
      content: { data: { 'text/plain': 'Test mode.' } }
    };
    const [connection, sent] = kernel({ status: 'ok' }, [output]);
    expect(await runMagic(connection, '%pdflow test')).toEqual({ ok: true, text: 'Test mode.' });
    expect(sent[0]).toMatchObject({ code: '%pdflow test', store_history: false });
  });

  it('returns the message of an error', async () => {
    const [connection] = kernel({ status: 'error', evalue: 'Step ask differs.' });
    const result = await runMagic(connection, '%pdflow production');
    expect(result).toEqual({ ok: false, text: 'Step ask differs.' });
  });

  it('removes colors from an error that was printed', async () => {
    const printed = {
      header: { msg_type: 'stream' },
      content: { text: '\u001b[31mStep ask differs.\u001b[0m\n' }
    };
    const [connection] = kernel({ status: 'error', evalue: '' }, [printed]);
    expect((await runMagic(connection, '%pdflow production')).text).toBe('Step ask differs.');
  });
});
