import type { Filter } from './filters';
import type { Host } from './host';
import type { RunItem, RunStatus } from './types';
import { hasEnded } from './formatting';

/** How many pages of paused runs are read at first: what waits for a person comes first. */
const PAUSED_PAGES = 4;
const ACTIVE_STATUSES: RunStatus[] = ['paused', 'running', 'queued'];

/** One of the server's lists, newest first, of which the first pages are known. */
export class RunCursor {
  /** The most that the server gives at once. */
  static readonly maxPageSize = 500;
  /** Whether the last page has been read. */
  isAtEnd = false;
  private last: string | null = null;
  private loaded = 0;

  private constructor(
    private readonly pageSize: number,
    private readonly status?: RunStatus
  ) {}

  /**
   * The lists that a filter needs: old runs that are paused do not have to be paged to.
   *
   * @param filter - which runs are listed
   * @param page - how many are read at first, and more at each request for more
   */
  static forFilter({ status }: Filter, pageSize: number): RunCursor[] {
    switch (status) {
      case '':
        return [...ACTIVE_STATUSES, undefined].map(each => new RunCursor(pageSize, each));
      case 'waiting':
        return [new RunCursor(pageSize, 'paused')];
      default:
        return [new RunCursor(pageSize, status)];
    }
  }

  /** Whether there are more pages, as far as is known. */
  get hasMore(): boolean {
    return this.last !== null && !this.isAtEnd;
  }

  /** Whether it lists what is under way; else it is there for what has ended. */
  get isActive(): boolean {
    return this.status !== undefined && !hasEnded({ status: this.status });
  }

  /** Whether the pages that are known would have this run. */
  covers(run: RunItem): boolean {
    const listed = this.status === undefined || this.status === run.status;
    return listed && (this.isAtEnd || (this.last !== null && run.id >= this.last));
  }

  /** Read again what is known, or the first page. */
  async reload(host: Host, workflow: string): Promise<RunItem[]> {
    const first = this.status === 'paused' ? PAUSED_PAGES * this.pageSize : this.pageSize;
    const limit = Math.min(RunCursor.maxPageSize, Math.max(first, this.loaded));
    const runs = await this.read(host, workflow, limit, null);
    this.loaded = runs.length;
    return runs;
  }

  /** Read the next page. */
  async nextPage(host: Host, workflow: string, size = this.pageSize): Promise<RunItem[]> {
    const runs = await this.read(host, workflow, size, this.last);
    this.loaded += runs.length;
    return runs;
  }

  private async read(
    host: Host,
    workflow: string,
    limit: number,
    before: string | null
  ): Promise<RunItem[]> {
    const runs = await host.list({
      limit,
      ...(this.status && { status: this.status }),
      ...(workflow && { workflow }),
      ...(before !== null && { before })
    });
    this.isAtEnd = runs.length < limit;
    this.last = runs.at(-1)?.id ?? before;
    return runs;
  }
}
