import type { CountQuery, Host } from '../host';
import { Refresher } from '../refresher';
import type { RunCounts } from '../types';

const MIN_PERIOD_MS = 2000;
/** How long a new query waits for further characters of a search. */
const QUERY_DELAY_MS = 200;

/** Reads the number of runs after changes, but not often, and only while it is shown. */
export class CountsReader {
  /** The runs of the scope, or null until they were counted. */
  total: RunCounts | null = null;
  /** The runs of the query, or null until they were counted. */
  matching: RunCounts | null = null;
  private query: CountQuery;
  private isStale = true;
  private readAt = -Infinity;
  private readonly reader = new Refresher(() => this.read(), QUERY_DELAY_MS);
  private readonly unsubscribe: () => void;

  /**
   * @param host - counts runs, and sends their changes
   * @param scope - which runs are counted in all
   * @param onUpdate - called when the counts have changed
   */
  constructor(
    private readonly host: Pick<Host, 'counts' | 'onChange'>,
    private readonly scope: CountQuery,
    private readonly onUpdate: () => void
  ) {
    this.query = scope;
    this.unsubscribe = host.onChange(() => (this.isStale = true));
  }

  /** Count other runs, too. */
  setQuery(query: CountQuery): void {
    if (JSON.stringify(query) !== JSON.stringify(this.query)) {
      this.query = query;
      this.reader.request();
    }
  }

  /** Count again if runs have changed. Called each second while the counts are visible. */
  tick(): void {
    if (this.isStale && performance.now() - this.readAt >= MIN_PERIOD_MS) {
      void this.reader.now();
    }
  }

  /** Count again. */
  refresh(): void {
    this.reader.request();
  }

  /** Stop following the runs. */
  dispose(): void {
    this.reader.dispose();
    this.unsubscribe();
  }

  /** Count the runs. After an error the counts stay: the list shows the error. */
  private async read(): Promise<void> {
    const { host, query, scope } = this;
    this.isStale = false;
    this.readAt = performance.now();
    const isAll = JSON.stringify(query) === JSON.stringify(scope);
    try {
      const all = host.counts(scope);
      const [total, matching] = await Promise.all([all, isAll ? all : host.counts(query)]);
      this.total = total;
      this.matching = matching;
      this.onUpdate();
    } catch {
      // The counts are read again after the next change.
    }
  }
}
