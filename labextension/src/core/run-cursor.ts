import type { Filter } from './filters';
import { hasEnded } from './formatting';
import type { Host } from './host';
import type { RunItem, RunStatus } from './types';

/** Pages of paused runs in the first read, because the list shows waiting runs first. */
const PAUSED_PAGES = 4;
const ACTIVE_STATUSES: RunStatus[] = ['paused', 'running', 'queued'];

/** A position in one of the server's lists of runs, whose earlier pages have been read. */
export class RunCursor {
  /** Maximum number of runs that the server returns at once. */
  static readonly maxPageSize = 500;
  /** Whether the last page was read. */
  isAtEnd = false;
  private last: string | null = null;
  private loaded = 0;

  private constructor(
    private readonly pageSize: number,
    private readonly status?: RunStatus
  ) {}

  /**
   * Return the cursors for a filter.
   *
   * Without a status, each active status has its own list, so that old active runs are found
   * without reading all pages before them.
   *
   * @param filter - which runs to list
   * @param pageSize - the number of runs of a page
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

  /** Whether the first page was read and more pages may follow. */
  get hasMore(): boolean {
    return this.last !== null && !this.isAtEnd;
  }

  /** Whether the list has only runs of an active status. */
  get isActive(): boolean {
    return this.status !== undefined && !hasEnded({ status: this.status });
  }

  /** Return whether the pages that were read would contain this run. */
  covers(run: RunItem): boolean {
    const listed = this.status === undefined || this.status === run.status;
    return listed && (this.isAtEnd || (this.last !== null && run.id >= this.last));
  }

  /** Read the known pages again, or the first page. */
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
