/**
 * Runs an asynchronous task, never twice at the same time.
 *
 * Requests that come while the task runs are merged: it runs one more time when it ends.
 */
export class Refresher {
  private busy = false;
  private again = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private disposed = false;

  /**
   * @param task - the task, which must not reject
   * @param delayMs - how long a request waits, so that further requests are merged with it
   */
  constructor(
    private readonly task: () => Promise<void>,
    private readonly delayMs = 0
  ) {}

  /** Run the task after the delay. */
  request(): void {
    if (this.disposed || this.timer !== undefined) {
      return;
    }
    if (this.busy) {
      this.again = true;
      return;
    }
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.run();
    }, this.delayMs);
  }

  /** Run the task now, or again after its current run. */
  async now(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.run();
  }

  /** Drop requests, and take no more. */
  dispose(): void {
    this.disposed = true;
    clearTimeout(this.timer);
  }

  private async run(): Promise<void> {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    try {
      await this.task();
    } finally {
      this.busy = false;
      if (this.again) {
        this.again = false;
        this.request();
      }
    }
  }
}
