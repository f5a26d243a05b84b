import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RUN_EVENT } from '../../src/core/types';
import type { Socket } from '../../src/widget/event-stream';
import { EventStream } from '../../src/widget/event-stream';

class FakeSocket implements Socket {
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  readonly close = vi.fn();

  opens(): void {
    this.onopen?.call(this as unknown as WebSocket, new Event('open'));
  }

  says(data: string): void {
    const event = new MessageEvent('message', { data });
    this.onmessage?.call(this as unknown as WebSocket, event);
  }

  breaks(): void {
    this.onclose?.call(this as unknown as WebSocket, new Event('close') as CloseEvent);
  }
}

let sockets: FakeSocket[];
let stream: EventStream;

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  stream = new EventStream('ws://x/', () => {
    const made = new FakeSocket();
    sockets.push(made);
    return made;
  });
});
afterEach(() => void vi.useRealTimers());

describe('a stream of events', () => {
  it('tells of runs, and leaves other events and what is no JSON alone', () => {
    const listener = vi.fn();
    stream.subscribe(listener);
    sockets[0].opens();
    sockets[0].says('{"schema_id": "https://other", "run_id": "a"}');
    sockets[0].says('?');
    sockets[0].says(JSON.stringify({ schema_id: RUN_EVENT, run_id: 'a' }));

    expect(listener.mock.calls).toMatchObject([[null], [{ run_id: 'a' }]]);
  });

  it('connects again, each time after a longer wait, and then anything may have changed', () => {
    const listener = vi.fn();
    stream.subscribe(listener);
    for (let number = 1; number <= 10; number += 1) {
      sockets[number - 1].breaks();
      vi.advanceTimersByTime(30_000);
      expect(sockets).toHaveLength(number + 1);
    }
    sockets[10].breaks();
    vi.advanceTimersByTime(14_000);
    expect(sockets).toHaveLength(11);
    vi.advanceTimersByTime(16_000);
    sockets[11].opens();
    expect(listener.mock.calls).toEqual([[null]]);
    sockets[11].breaks();
    vi.advanceTimersByTime(500);
    expect(sockets).toHaveLength(13);
  });

  it('is one connection for all, closed with the last', () => {
    const listener = vi.fn();
    const ends = [stream.subscribe(listener), stream.subscribe(listener)];
    expect(sockets).toHaveLength(1);
    sockets[0].opens();
    expect(listener).toHaveBeenCalledTimes(2);
    ends[0]();
    ends[0]();
    expect(sockets[0].close).not.toHaveBeenCalled();
    ends[1]();
    expect(sockets[0].close).toHaveBeenCalled();
    sockets[0].breaks();
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
  });
});
