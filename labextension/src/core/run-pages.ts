import type { Filter } from './filters';
import type { Host } from './host';
import type { RunItem, RunStatus } from './types';
import { hasEnded } from './formatting';

/** How many pages of paused runs are read at first: what waits for a person comes first. */
const PAUSED_PAGES = 4;
const UNDER_WAY: RunStatus[] = ['paused', 'running', 'queued'];

/** One of the server's lists, newest first, of which the first pages are known. */
export class Stream {
  /** The most that the server gives at once. */
  static readonly most = 500;
  /** Whether the last page has been read. */
  done = false;
  private last: string | null = null;
  private loaded = 0;

  private constructor(
    private readonly page: number,
    private readonly status?: RunStatus
  ) {}

  /**
   * The lists that a filter needs: old runs that are paused do not have to be paged to.
   *
   * @param filter - which runs are listed
   * @param page - how many are read at first, and more at each request for more
   */
  static forFilter({ status }: Filter, page: number): Stream[] {
    switch (status) {
      case '':
        return [...UNDER_WAY, undefined].map(each => new Stream(page, each));
      case 'waiting':
        return [new Stream(page, 'paused')];
      default:
        return [new Stream(page, status)];
    }
  }

  /** Whether there are more pages, as far as is known. */
  get hasMore(): boolean {
    return this.last !== null && !this.done;
  }

  /** Whether it lists what is under way; else it is there for what has ended. */
  get isActive(): boolean {
    return this.status !== undefined && !hasEnded({ status: this.status });
  }

  /** Whether the pages that are known would have this run. */
  covers(run: RunItem): boolean {
    const listed = this.status === undefined || this.status === run.status;
    return listed && (this.done || (this.last !== null && run.id >= this.last));
  }

  /** Read again what is known, or the first page. */
  async top(host: Host, workflow: string): Promise<RunItem[]> {
    const first = this.status === 'paused' ? PAUSED_PAGES * this.page : this.page;
    const limit = Math.min(Stream.most, Math.max(first, this.loaded));
    const runs = await this.read(host, workflow, limit, null);
    this.loaded = runs.length;
    return runs;
  }

  /** Read the next page. */
  async next(host: Host, workflow: string, size = this.page): Promise<RunItem[]> {
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
    this.done = runs.length < limit;
    this.last = runs.at(-1)?.id ?? before;
    return runs;
  }
}
