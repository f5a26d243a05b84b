import type { LiveRuns } from './live-runs';
import { Refresher } from './refresher';
import type { RunWatch } from './run-watch';
import type { Run } from './types';

/** The latest run of a workflow, kept up to date, see `LiveRuns.watchLatest`. */
export class LatestRun {
  /** Whether the server was asked which run is the latest. */
  isLoaded = false;
  private listError: unknown = null;
  private watch: RunWatch | null = null;
  private readonly reloader = new Refresher(() => this.load());

  /**
   * @param runs - follows the run
   * @param workflow - the workflow's id
   * @param onUpdate - called when the run has changed, or is another one
   * @param onDispose - called when nothing follows the workflow any more
   */
  constructor(
    private readonly runs: LiveRuns,
    readonly workflow: string,
    private readonly onUpdate: () => void,
    private readonly onDispose: () => void
  ) {}

  /** The run, or null if there is none or it was not read yet. */
  get run(): Run | null {
    return this.watch?.run ?? null;
  }

  /** Why the last read has failed, or null. */
  get error(): unknown {
    return this.listError ?? this.watch?.error ?? null;
  }

  /** Whether the workflow has no run. */
  get isEmpty(): boolean {
    return this.isLoaded && this.watch === null;
  }

  /** Ask again which run is the latest. */
  async reload(): Promise<void> {
    await this.reloader.now();
  }

  /** Ask again, once for all requests until then. */
  requestReload(): void {
    this.reloader.request();
  }

  /** Follow a run of the workflow if it was started later. Ids sort by the time of the start. */
  notice(workflow: string, id: string): void {
    if (workflow === this.workflow && id > (this.watch?.id ?? '')) {
      this.watch?.dispose();
      this.watch = this.runs.watch(id, this.onUpdate);
    }
  }

  /** Stop following the workflow. */
  dispose(): void {
    this.reloader.dispose();
    this.watch?.dispose();
    this.onDispose();
  }

  private async load(): Promise<void> {
    try {
      const newest = await this.runs.host.list({ workflow: this.workflow, limit: 1 });
      this.listError = null;
      this.isLoaded = true;
      this.dropDeleted(newest.at(0)?.id);
      if (this.watch?.error) {
        void this.watch.reload();
      }
      newest.forEach(run => this.notice(this.workflow, run.id));
    } catch (error) {
      this.listError = error;
    }
    this.onUpdate();
  }

  /** Forget a run that can't be read if it is not the latest any more: it was deleted. */
  private dropDeleted(latest: string | undefined): void {
    if (this.watch !== null && this.watch.error !== null && this.watch.id !== latest) {
      this.watch.dispose();
      this.watch = null;
    }
  }
}
