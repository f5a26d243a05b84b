/**
 * Does one piece of work at a time: asked for again while it is under way, it is done once more
 * at its end, however often it was asked for.
 */
export class Refresher {
  private busy = false;
  private again = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private disposed = false;

  /**
   * @param work - what is done; it sees to its own errors
   * @param delayMs - how long further requests are waited for
   */
  constructor(
    private readonly work: () => Promise<void>,
    private readonly delayMs = 0
  ) {}

  /** Do the work, soon. */
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

  /** Do the work now, or after what is under way. */
  async now(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.run();
  }

  /** Do no more. */
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
      await this.work();
    } finally {
      this.busy = false;
      if (this.again) {
        this.again = false;
        this.request();
      }
    }
  }
}
