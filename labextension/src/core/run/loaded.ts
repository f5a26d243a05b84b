import { nothing } from 'lit';
import { readErrorMessage } from '../formatting';
import { failure, loading } from '../parts';
import { Refresher } from '../refresher';

const FIRST_POLL_MS = 2000;
const MAX_POLL_MS = 60_000;

/** Options of {@link Loaded}. */
export interface LoadedOptions<T> {
  read: () => Promise<T>;
  /** Called when the value or the error has changed. */
  onUpdate: () => void;
  /** Whether a value is about to change, so that it is read again and again. */
  isPending?: (value: T) => boolean;
}

/** A value of the server that a part of a page shows. It is read when it is first asked for. */
export class Loaded<T> {
  /** The value, or null until it was read. */
  value: T | null = null;
  /** Why the last read has failed, or null. */
  error: unknown = null;
  private key: string | null = null;
  private pollMs = FIRST_POLL_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly reader = new Refresher(() => this.load());
  private isDisposed = false;

  constructor(private readonly options: LoadedOptions<T>) {}

  /** Read the value, unless that was done for the same key. */
  want(key: string): void {
    if (key !== this.key) {
      this.key = key;
      this.pollMs = FIRST_POLL_MS;
      this.reload();
    }
  }

  /** Read the value again. */
  reload(): void {
    if (!this.isDisposed) {
      clearTimeout(this.timer);
      void this.reader.now();
    }
  }

  /** Return a template of the value, or a notice that it is loading or could not be read. */
  show(what: string, draw: (value: T) => unknown): unknown {
    const notice =
      this.error === null
        ? null
        : failure(`${what} can’t be shown. ${readErrorMessage(this.error)}`, () => this.reload());
    if (this.value === null) {
      return notice ?? loading();
    }
    return [notice ?? nothing, draw(this.value)];
  }

  /** Read no more. */
  dispose(): void {
    this.isDisposed = true;
    clearTimeout(this.timer);
    this.reader.dispose();
  }

  private async load(): Promise<void> {
    try {
      this.value = await this.options.read();
      this.error = null;
      this.poll(this.value);
    } catch (error) {
      this.error = error;
    }
    if (!this.isDisposed) {
      this.options.onUpdate();
    }
  }

  private poll(value: T): void {
    if (!this.isDisposed && this.options.isPending?.(value) === true) {
      this.timer = setTimeout(() => this.reload(), this.pollMs);
      this.pollMs = Math.min(2 * this.pollMs, MAX_POLL_MS);
    }
  }
}
