import type { Filter } from './filter';
import { hasEnded } from './formatting';
import type { Host, RunQuery } from './host';
import type { RunItem, RunStatus } from './types';

/** Pages of paused runs in the first read, because the list shows waiting runs first. */
const PAUSED_PAGES = 4;
/** Maximum number of characters of a search. */
const MAX_SEARCH = 1000;
/** Maximum number of runs that are read again at once. */
const MAX_RELOAD = 2000;
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
    private readonly query: RunQuery,
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
  static forFilter(filter: Filter, pageSize: number): RunCursor[] {
    const query = queryOf(filter);
    switch (filter.status) {
      case '':
        return [...ACTIVE_STATUSES, undefined].map(each => new RunCursor(pageSize, query, each));
      case 'waiting':
        return [new RunCursor(pageSize, { ...query, pause: 'suspend' }, 'paused')];
      case 'active':
        // The list leaves out those that wait for a person.
        return ACTIVE_STATUSES.map(each => new RunCursor(pageSize, query, each));
      default:
        return [new RunCursor(pageSize, query, filter.status)];
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
    if (this.query.search !== undefined) {
      return false;
    }
    const listed = this.status === undefined || this.status === run.status;
    return listed && (this.isAtEnd || (this.last !== null && run.id >= this.last));
  }

  /** Read the known pages again, or the first page. */
  async reload(host: Host): Promise<RunItem[]> {
    const first = this.status === 'paused' ? PAUSED_PAGES * this.pageSize : this.pageSize;
    const wanted = Math.min(MAX_RELOAD, Math.max(first, this.loaded));
    const runs: RunItem[] = [];
    do {
      const limit = Math.min(RunCursor.maxPageSize, wanted - runs.length);
      runs.push(...(await this.read(host, limit, runs.at(-1)?.id ?? null)));
    } while (!this.isAtEnd && runs.length < wanted);
    this.loaded = runs.length;
    return runs;
  }

  /** Read the next page. */
  async nextPage(host: Host): Promise<RunItem[]> {
    const runs = await this.read(host, this.pageSize, this.last);
    this.loaded += runs.length;
    return runs;
  }

  private async read(host: Host, limit: number, before: string | null): Promise<RunItem[]> {
    const runs = await host.list({
      ...this.query,
      limit,
      ...(this.status && { status: this.status }),
      ...(before !== null && { before })
    });
    this.isAtEnd = runs.length < limit;
    this.last = runs.at(-1)?.id ?? before;
    return runs;
  }
}

/** Return what a filter asks of the server, without its status. */
export function queryOf({ workflow, text, since, until }: Filter): RunQuery {
  const search = text.trim().slice(0, MAX_SEARCH);
  return {
    ...(workflow && { workflow }),
    ...(search && { search }),
    ...(since !== null && { since }),
    ...(until !== null && { until })
  };
}
