import type { Kernel } from '@jupyterlab/services';
import { describe, expect, it } from 'vitest';
import { fetchMode, runMagic } from '../../src/plugin/kernel-mode';

interface Sent {
  code: string;
  silent?: boolean;
  store_history?: boolean;
}

/** A kernel that answers as the test says. */
function kernel(reply: object, printed: object[] = []): [Kernel.IKernelConnection, Sent[]] {
  const sent: Sent[] = [];
  const requestExecute = (content: Sent): object => {
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
  it('reads the mode, and leaves no trace', async () => {
    const [connection, sent] = kernel(answer('True'));
    expect(await fetchMode(connection)).toBe('production');
    expect(sent[0]).toMatchObject({ code: '', silent: true, store_history: false });
    expect(await fetchMode(kernel(answer('False'))[0])).toBe('test');
  });

  it('finds none where the extension is not loaded', async () => {
    const pdflow = { status: 'error', ename: 'AttributeError' };
    const [connection] = kernel({ status: 'ok', user_expressions: { pdflow } });
    expect(await fetchMode(connection)).toBeNull();
    expect(await fetchMode(kernel({ status: 'aborted' })[0])).toBeNull();
  });
});

describe('runMagic', () => {
  it('gives what was printed', async () => {
    const shown = {
      header: { msg_type: 'display_data' },
      content: { data: { 'text/plain': 'Test mode.' } }
    };
    const [connection, sent] = kernel({ status: 'ok' }, [shown]);
    expect(await runMagic(connection, '%pdflow test')).toEqual({ ok: true, text: 'Test mode.' });
    expect(sent[0]).toMatchObject({ code: '%pdflow test', store_history: false });
  });

  it('gives the words of a refusal', async () => {
    const [connection] = kernel({ status: 'error', evalue: 'Step ask differs.' });
    const said = await runMagic(connection, '%pdflow production');
    expect(said).toEqual({ ok: false, text: 'Step ask differs.' });
  });

  it('takes colours out of a refusal that was printed', async () => {
    const printed = {
      header: { msg_type: 'stream' },
      content: { text: '\u001b[31mStep ask differs.\u001b[0m\n' }
    };
    const [connection] = kernel({ status: 'error', evalue: '' }, [printed]);
    expect((await runMagic(connection, '%pdflow production')).text).toBe('Step ask differs.');
  });
});
