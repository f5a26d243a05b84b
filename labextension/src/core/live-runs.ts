import type { Filter } from './filter';
import type { Host } from './host';
import { ApiError } from './host';
import { LatestRun } from './latest-run';
import { Refresher } from './refresher';
import { RunList } from './run-list';
import { RunWatch } from './run-watch';
import { toRunItem } from './run-order';
import type { Run, RunChange } from './types';

/** How long further changes are waited for before the changed runs are read. */
const DELAY_MS = 80;
/** If more runs of lists than these have changed, whole pages are read instead. */
const MAX_SINGLE_READS = 8;

/**
 * The runs that views show, kept up to date.
 *
 * It is the one place that hears of changes and reads what has changed. Each run is read once for
 * all lists and views that show it. It follows the server only while there are any.
 */
export class LiveRuns {
  private readonly lists = new Set<RunList>();
  private readonly watches = new Set<RunWatch>();
  private readonly latest = new Set<LatestRun>();
  private readonly changed = new Set<string>();
  private readonly reader = new Refresher(() => this.readChanged(), DELAY_MS);
  private unsubscribe: (() => void) | null = null;

  /** @param host - reads runs, and sends their changes */
  constructor(readonly host: Host) {}

  /**
   * Follow the runs that match a filter. They are read at once.
   *
   * @param pageSize - the number of runs to read at once
   * @param onUpdate - called when the list has changed
   */
  list(filter: Filter, pageSize: number, onUpdate: () => void): RunList {
    const list = new RunList(this.host, filter, pageSize, onUpdate, () =>
      this.remove(this.lists, list)
    );
    this.add(this.lists, list);
    void list.reload();
    return list;
  }

  /** Follow one run, with its event and exports. It is read at once. */
  watch(id: string, onUpdate: () => void): RunWatch {
    const watch = new RunWatch(this.host, id, onUpdate, () => this.remove(this.watches, watch));
    this.add(this.watches, watch);
    void watch.reload();
    return watch;
  }

  /** Follow the latest run of a workflow, which may be another one later. */
  watchLatest(workflow: string, onUpdate: () => void): LatestRun {
    const latest = new LatestRun(this, workflow, onUpdate, () => this.remove(this.latest, latest));
    this.add(this.latest, latest);
    void latest.reload();
    return latest;
  }

  /** Show the run that an action has returned. */
  put(run: Run): void {
    const item = toRunItem(run);
    this.lists.forEach(list => list.put(item));
    this.watches.forEach(watch => watch.put(run));
    this.latest.forEach(latest => latest.notice(run.workflow_id, run.id));
  }

  private add<T>(set: Set<T>, follower: T): void {
    set.add(follower);
    this.unsubscribe ??= this.host.onChange(change => this.onChange(change));
  }

  private remove<T>(set: Set<T>, follower: T): void {
    set.delete(follower);
    if (this.lists.size + this.watches.size + this.latest.size === 0) {
      this.unsubscribe?.();
      this.unsubscribe = null;
      this.changed.clear();
    }
  }

  private onChange(change: RunChange | null): void {
    if (change === null) {
      [...this.lists, ...this.watches, ...this.latest].forEach(each => each.requestReload());
      return;
    }
    this.latest.forEach(latest => latest.notice(change.workflow_id, change.run_id));
    this.lists.forEach(list => list.apply(change));
    const isListed = [...this.lists].some(list => list.isAbout(change));
    if (isListed || this.isWatched(change.run_id)) {
      this.changed.add(change.run_id);
      this.reader.request();
    }
  }

  private isWatched(id: string): boolean {
    return [...this.watches].some(watch => watch.id === id);
  }

  /** Read the runs that have changed, or whole pages if there are many. */
  private async readChanged(): Promise<void> {
    const ids = [...this.changed];
    this.changed.clear();
    const isMany = ids.length > MAX_SINGLE_READS;
    if (isMany) {
      this.lists.forEach(list => list.requestReload());
    }
    const single = isMany ? ids.filter(id => this.isWatched(id)) : ids;
    await Promise.all(single.map(id => this.read(id)));
  }

  private async read(id: string): Promise<void> {
    try {
      this.put(await this.host.get(id));
    } catch (error) {
      const isGone = error instanceof ApiError && error.status === 404;
      this.lists.forEach(list => (isGone ? list.drop(id) : list.fail(error)));
      this.watches.forEach(watch => watch.id === id && watch.fail(error));
    }
  }
}
