import { ServerConnection } from '@jupyterlab/services';
import { afterEach, describe, expect, it } from 'vitest';
import type { RunChange } from '../../src/core/types';
import { RUN_EVENT } from '../../src/core/types';
import { RunEvents } from '../../src/plugin/run-events';

/** A socket that the test controls. */
class ControlledSocket extends EventTarget {
  static all: ControlledSocket[] = [];
  onclose: () => void = () => undefined;
  onmessage: (message: { data: string }) => void = () => undefined;

  constructor(readonly url: string) {
    super();
    ControlledSocket.all.push(this);
  }

  close(): void {
    this.onclose();
  }
}

async function socket(number: number): Promise<ControlledSocket> {
  return new Promise(resolve => {
    const poll = (): void => {
      const found = ControlledSocket.all.at(number);
      if (found) {
        resolve(found);
      } else {
        setTimeout(poll, 10);
      }
    };
    poll();
  });
}

describe('RunEvents', () => {
  let events: RunEvents;

  afterEach(() => events.dispose());

  it('sends changes, and null after each connect', async () => {
    const settings = ServerConnection.makeSettings({
      WebSocket: ControlledSocket as unknown as typeof WebSocket
    });
    events = new RunEvents(settings);
    const received: (RunChange | null)[] = [];
    const stop = events.subscribe(change => void received.push(change));
    const first = await socket(0);
    first.dispatchEvent(new Event('open'));
    expect(received).toEqual([null]);
    first.onmessage({ data: JSON.stringify({ schema_id: RUN_EVENT, run_id: 'a' }) });
    first.onmessage({ data: JSON.stringify({ schema_id: 'another', run_id: 'b' }) });
    expect(received.map(change => change?.run_id)).toEqual([undefined, 'a']);

    first.close();
    const second = await socket(1);
    second.dispatchEvent(new Event('open'));
    expect(received.at(-1)).toBeNull();
    expect(received).toHaveLength(3);
    stop();
    second.dispatchEvent(new Event('open'));
    expect(received).toHaveLength(3);
  });
});
