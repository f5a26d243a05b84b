import { ServerConnection } from '@jupyterlab/services';
import { afterEach, describe, expect, it } from 'vitest';
import type { RunChange } from '../../src/core/types';
import { RUN_EVENT } from '../../src/core/types';
import { RunEvents } from '../../src/plugin/run-events';

/** A socket that the test opens, feeds and closes. */
class Socket extends EventTarget {
  static all: Socket[] = [];
  onclose: () => void = () => undefined;
  onmessage: (message: { data: string }) => void = () => undefined;

  constructor(readonly url: string) {
    super();
    Socket.all.push(this);
  }

  close(): void {
    this.onclose();
  }
}

async function socket(number: number): Promise<Socket> {
  return new Promise(resolve => {
    const look = (): void => {
      const found = Socket.all.at(number);
      if (found) {
        resolve(found);
      } else {
        setTimeout(look, 10);
      }
    };
    look();
  });
}

describe('RunEvents', () => {
  let events: RunEvents;

  afterEach(() => events.dispose());

  it('tells of changes, and with null of each connection', async () => {
    const settings = ServerConnection.makeSettings({
      WebSocket: Socket as unknown as typeof WebSocket
    });
    events = new RunEvents(settings);
    const heard: (RunChange | null)[] = [];
    const stop = events.subscribe(change => void heard.push(change));
    const first = await socket(0);
    first.dispatchEvent(new Event('open'));
    expect(heard).toEqual([null]);
    first.onmessage({ data: JSON.stringify({ schema_id: RUN_EVENT, run_id: 'a' }) });
    first.onmessage({ data: JSON.stringify({ schema_id: 'another', run_id: 'b' }) });
    expect(heard.map(change => change?.run_id)).toEqual([undefined, 'a']);

    first.close();
    const second = await socket(1);
    second.dispatchEvent(new Event('open'));
    expect(heard.at(-1)).toBeNull();
    expect(heard).toHaveLength(3);
    stop();
    second.dispatchEvent(new Event('open'));
    expect(heard).toHaveLength(3);
  });
});
