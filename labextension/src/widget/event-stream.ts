import type { ChangeListener } from '../core/host';
import { RUN_EVENT, type RunChange } from '../core/types';

const MIN_WAIT_MS = 500;
const MAX_WAIT_MS = 30_000;

/** The part of a WebSocket that {@link EventStream} uses. */
export type Socket = Pick<WebSocket, 'close' | 'onclose' | 'onmessage' | 'onopen'>;

/** Changes of runs from Jupyter's event stream, connected while there are listeners. */
export class EventStream {
  private readonly listeners = new Set<ChangeListener>();
  private socket: Socket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private waitMs = MIN_WAIT_MS;

  /**
   * @param url - the URL of the stream
   * @param connect - opens a socket
   */
  constructor(
    private readonly url: string,
    private readonly connect: (url: string) => Socket = address => new WebSocket(address)
  ) {}

  /** Subscribe to changes. Null is sent after each connect, since missed events are not replayed. */
  subscribe(listener: ChangeListener): () => void {
    // The wrapper is unique, so that a listener can subscribe twice.
    const wrapper: ChangeListener = change => listener(change);
    this.listeners.add(wrapper);
    if (this.listeners.size === 1) {
      this.open();
    }
    return () => {
      if (this.listeners.delete(wrapper) && this.listeners.size === 0) {
        this.close();
      }
    };
  }

  private open(): void {
    const socket = this.connect(this.url);
    this.socket = socket;
    socket.onopen = () => {
      this.waitMs = MIN_WAIT_MS;
      this.notify(null);
    };
    socket.onmessage = ({ data }) => this.read(data);
    socket.onclose = () => this.reconnect();
  }

  private reconnect(): void {
    this.socket = null;
    const wait = this.waitMs * (0.5 + Math.random() / 2);
    this.waitMs = Math.min(2 * this.waitMs, MAX_WAIT_MS);
    this.timer = setTimeout(() => this.open(), wait);
  }

  private close(): void {
    clearTimeout(this.timer);
    if (this.socket !== null) {
      this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
      this.socket.close();
      this.socket = null;
    }
  }

  private read(data: unknown): void {
    try {
      const event = JSON.parse(String(data)) as RunChange & { schema_id?: string };
      if (event.schema_id === RUN_EVENT) {
        this.notify(event);
      }
    } catch {
      // Messages that are not JSON are ignored.
    }
  }

  private notify(change: RunChange | null): void {
    [...this.listeners].forEach(listener => listener(change));
  }
}
