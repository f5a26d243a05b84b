import type { Host } from './host';
import { Refresher } from './refresher';
import type { Run } from './types';

/** One run that is kept up to date, see `LiveRuns.watch`. */
export class RunWatch {
  /** The run, or null until it was read. */
  run: Run | null = null;
  /** Why the last read has failed, or null. */
  error: unknown = null;
  private readonly reloader = new Refresher(() => this.load());

  /**
   * @param host - reads the run
   * @param id - the run's id
   * @param onUpdate - called when the run or the error has changed
   * @param onDispose - called when nothing follows the run any more
   */
  constructor(
    private readonly host: Host,
    readonly id: string,
    private readonly onUpdate: () => void,
    private readonly onDispose: () => void
  ) {}

  /** Read the run again. */
  async reload(): Promise<void> {
    await this.reloader.now();
  }

  /** Read the run again, once for all requests until then. */
  requestReload(): void {
    this.reloader.request();
  }

  /** Take over the run if it is this one, unless a newer state is known. */
  put(run: Run): void {
    const isOlder = this.run !== null && run.updated_at < this.run.updated_at;
    if (run.id === this.id && !isOlder) {
      this.run = run;
      this.error = null;
      this.onUpdate();
    }
  }

  /** Note that the run could not be read. */
  fail(error: unknown): void {
    this.error = error;
    this.onUpdate();
  }

  /** Stop following the run. */
  dispose(): void {
    this.reloader.dispose();
    this.onDispose();
  }

  private async load(): Promise<void> {
    try {
      this.put(await this.host.get(this.id));
    } catch (error) {
      this.fail(error);
    }
  }
}
