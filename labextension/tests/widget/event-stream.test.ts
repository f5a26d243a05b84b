import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RUN_EVENT } from '../../src/core/types';
import type { Socket } from '../../src/widget/event-stream';
import { EventStream } from '../../src/widget/event-stream';

class FakeSocket implements Socket {
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  readonly close = vi.fn();

  open(): void {
    this.onopen?.call(this as unknown as WebSocket, new Event('open'));
  }

  receive(data: string): void {
    const event = new MessageEvent('message', { data });
    this.onmessage?.call(this as unknown as WebSocket, event);
  }

  drop(): void {
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

describe('EventStream', () => {
  it('sends changes of runs, and ignores other events and invalid JSON', () => {
    const listener = vi.fn();
    stream.subscribe(listener);
    sockets[0].open();
    sockets[0].receive('{"schema_id": "https://other", "run_id": "a"}');
    sockets[0].receive('?');
    sockets[0].receive(JSON.stringify({ schema_id: RUN_EVENT, run_id: 'a' }));

    expect(listener.mock.calls).toMatchObject([[null], [{ run_id: 'a' }]]);
  });

  it('reconnects after growing delays, and then sends null', () => {
    const listener = vi.fn();
    stream.subscribe(listener);
    for (let number = 1; number <= 10; number += 1) {
      sockets[number - 1].drop();
      vi.advanceTimersByTime(30_000);
      expect(sockets).toHaveLength(number + 1);
    }
    sockets[10].drop();
    vi.advanceTimersByTime(14_000);
    expect(sockets).toHaveLength(11);
    vi.advanceTimersByTime(16_000);
    sockets[11].open();
    expect(listener.mock.calls).toEqual([[null]]);
    sockets[11].drop();
    vi.advanceTimersByTime(500);
    expect(sockets).toHaveLength(13);
  });

  it('shares one connection, which closes with the last listener', () => {
    const listener = vi.fn();
    const ends = [stream.subscribe(listener), stream.subscribe(listener)];
    expect(sockets).toHaveLength(1);
    sockets[0].open();
    expect(listener).toHaveBeenCalledTimes(2);
    ends[0]();
    ends[0]();
    expect(sockets[0].close).not.toHaveBeenCalled();
    ends[1]();
    expect(sockets[0].close).toHaveBeenCalled();
    sockets[0].drop();
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
  });
});
