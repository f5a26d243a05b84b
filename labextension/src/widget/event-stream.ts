import type { ChangeListener } from '../core/host';
import { RUN_EVENT, type RunChange } from '../core/types';

const MIN_WAIT_MS = 500;
const MAX_WAIT_MS = 30_000;

/** What is used of a WebSocket. */
export type Socket = Pick<WebSocket, 'close' | 'onclose' | 'onmessage' | 'onopen'>;

/** Changes of runs from Jupyter's stream of events; connected while someone listens. */
export class EventStream {
  private readonly listeners = new Set<ChangeListener>();
  private socket: Socket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private waitMs = MIN_WAIT_MS;

  /**
   * @param url - the address of the stream
   * @param connect - opens a connection to it
   */
  constructor(
    private readonly url: string,
    private readonly connect: (url: string) => Socket = address => new WebSocket(address)
  ) {}

  /** Hear of changes; null each time that the stream begins, since there is no replay. */
  subscribe(listener: ChangeListener): () => void {
    const own: ChangeListener = change => listener(change);
    this.listeners.add(own);
    if (this.listeners.size === 1) {
      this.open();
    }
    return () => {
      if (this.listeners.delete(own) && this.listeners.size === 0) {
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
      // What is not JSON is no event.
    }
  }

  private notify(change: RunChange | null): void {
    [...this.listeners].forEach(listener => listener(change));
  }
}
