import type { Filter } from './filter';
import { differsInText, hasStatus, matchesFilter, matchesSearch } from './filter';
import { hasEnded } from './formatting';
import type { Host } from './host';
import { Refresher } from './refresher';
import { RunCursor } from './run-cursor';
import type { GroupName } from './run-order';
import { applyChange, byActivity, byDeadline, byEnd, groupOf, toRunItem } from './run-order';
import type { RunChange, RunItem } from './types';

const RELOAD_DELAY_MS = 120;
/** How long a search waits for further characters. */
const SEARCH_DELAY_MS = 250;
const MAX_PAGES = 5;

/**
 * The runs that match a filter, kept up to date, see `LiveRuns.list`.
 *
 * They are pages of the server's lists. The server searches titles, workflows and events; the runs
 * that were read are searched here, too, for their steps and errors.
 */
export class RunList {
  /** Whether the last read has failed, and why; the first has not ended while it is `loading`. */
  state: 'failed' | 'loading' | 'ready' = 'loading';
  error: unknown = null;
  private readonly runs = new Map<string, RunItem>();
  /** The runs that the server has found for the text. */
  private readonly found = new Set<string>();
  private cursors: RunCursor[];
  private readonly reloader = new Refresher(() => this.load(), RELOAD_DELAY_MS);
  private readonly searcher = new Refresher(() => this.load(), SEARCH_DELAY_MS);
  private isDisposed = false;

  /**
   * @param host - reads runs
   * @param filter - which runs to list
   * @param pageSize - the number of runs to read at once
   * @param onUpdate - called when the list has changed
   * @param onDispose - called when nothing follows the list any more
   */
  constructor(
    private readonly host: Host,
    private currentFilter: Filter,
    private readonly pageSize: number,
    private readonly onUpdate: () => void,
    private readonly onDispose: () => void
  ) {
    this.cursors = RunCursor.forFilter(currentFilter, pageSize);
  }

  /** Which runs are listed. */
  get filter(): Filter {
    return this.currentFilter;
  }

  /** Number of runs that were read. */
  get size(): number {
    return this.runs.size;
  }

  /** The runs of the list, the newest first. */
  get items(): RunItem[] {
    const { text } = this.currentFilter;
    return [...this.runs.values()]
      .filter(run => this.found.has(run.id) || matchesSearch(run, text))
      .sort((one, other) => (one.id < other.id ? 1 : -1));
  }

  /** The runs of the list in groups, each in the order in which people look for them. */
  get groups(): Record<GroupName, RunItem[]> {
    const groups: Record<GroupName, RunItem[]> = { waiting: [], active: [], ended: [] };
    this.items.forEach(run => groups[groupOf(run)].push(run));
    groups.waiting.sort(byDeadline);
    groups.active.sort(byActivity);
    groups.ended.sort(byEnd);
    return groups;
  }

  /** Whether the server has more active runs, or more runs that have ended. */
  get more(): Record<'active' | 'ended', boolean> {
    const isOpen = (active: boolean): boolean =>
      this.cursors.some(cursor => cursor.isActive === active && cursor.hasMore);
    return { active: isOpen(true), ended: isOpen(false) };
  }

  /** Return a run of the list, or undefined if it was not read. */
  get(id: string): RunItem | undefined {
    return this.runs.get(id);
  }

  /** Read all known pages again, or the first ones. */
  async reload(): Promise<void> {
    await this.reloader.now();
  }

  /** Read the pages again, once for all requests until then. */
  requestReload(): void {
    this.reloader.request();
  }

  /** Change the filter, and read the runs for it. The runs that were read stay if they match. */
  setFilter(filter: Filter): void {
    const isSearch = differsInText(filter, this.currentFilter);
    if (isSearch && filter.text.trim() === this.currentFilter.text.trim()) {
      this.currentFilter = filter;
      return;
    }
    this.currentFilter = filter;
    this.cursors = RunCursor.forFilter(filter, this.pageSize);
    this.found.clear();
    this.state = 'loading';
    if (isSearch) {
      this.searcher.request();
    } else {
      this.runs.clear();
      void this.reload();
    }
    this.onUpdate();
  }

  /** Read the next page of the active runs, or of those that have ended. */
  async loadMore(group: 'active' | 'ended'): Promise<void> {
    const { cursors } = this;
    try {
      const open = cursors.filter(
        cursor => cursor.isActive === (group === 'active') && !cursor.isAtEnd
      );
      for (const cursor of open) {
        await this.loadNext(cursor, cursors);
      }
      this.state = 'ready';
    } catch (error) {
      this.setFailed(error, cursors);
    }
    this.notify();
  }

  /** Take over a run if it matches the filter, unless a newer state is known. */
  put(run: RunItem): void {
    const isNew = !this.runs.has(run.id);
    if (this.merge(run)) {
      this.notify();
      if (isNew && this.currentFilter.text.trim() !== '') {
        // Only the server knows whether the event of a new run has the words.
        this.searcher.request();
      }
    }
  }

  /** Remove a run that is gone. */
  drop(id: string): void {
    if (this.runs.delete(id)) {
      this.notify();
    }
  }

  /** Note that a run could not be read. */
  fail(error: unknown): void {
    this.setFailed(error, this.cursors);
    this.notify();
  }

  /** Return whether a change may be about a run of this list. */
  isAbout({ workflow_id, run_id, status, pause_kind }: RunChange): boolean {
    const { workflow, status: wanted } = this.currentFilter;
    const isOfWorkflow = workflow === '' || workflow === workflow_id;
    const isListed = isOfWorkflow && hasStatus(wanted, status, pause_kind === 'suspend');
    return isListed || this.runs.has(run_id);
  }

  /** Show what a change says about a run, until the run is read. */
  apply(change: RunChange): void {
    const known = this.runs.get(change.run_id);
    if (known !== undefined && known.updated_at <= change.updated_at) {
      this.merge(applyChange(known, change));
      this.notify();
    }
  }

  /** Stop following the runs. */
  dispose(): void {
    this.isDisposed = true;
    this.reloader.dispose();
    this.searcher.dispose();
    this.onDispose();
  }

  private async load(): Promise<void> {
    const { cursors } = this;
    const known = new Set(this.runs.keys());
    try {
      const pages = await Promise.all(cursors.map(cursor => cursor.reload(this.host)));
      if (cursors !== this.cursors) {
        return;
      }
      pages.flat().forEach(run => {
        known.delete(run.id);
        this.take(run);
      });
      this.removeMissing(known);
      await this.loadUntilEnded(cursors);
      this.state = 'ready';
      this.error = null;
    } catch (error) {
      this.setFailed(error, cursors);
    }
    this.notify();
  }

  /** Remove the runs that are missing from pages that would contain them. */
  private removeMissing(missing: Set<string>): void {
    for (const id of missing) {
      const run = this.runs.get(id);
      if (run && this.cursors.some(cursor => cursor.covers(run))) {
        this.runs.delete(id);
      }
    }
  }

  /** Read more pages if the newest runs are all active, until one has ended. */
  private async loadUntilEnded(cursors: RunCursor[]): Promise<void> {
    for (const cursor of cursors) {
      if (!cursor.isActive && ![...this.runs.values()].some(hasEnded)) {
        await this.loadNext(cursor, cursors);
      }
    }
  }

  /** Read pages until one has a run to show that is not shown yet. */
  private async loadNext(cursor: RunCursor, cursors: RunCursor[]): Promise<void> {
    for (let page = 0, found = false; page < MAX_PAGES && !found && !cursor.isAtEnd; page += 1) {
      const runs = await cursor.nextPage(this.host);
      if (cursors !== this.cursors) {
        return;
      }
      found = runs.some(run => {
        const isListed = (cursor.isActive || hasEnded(run)) && matchesFilter(run, this.filter);
        return isListed && !this.isShown(run);
      });
      runs.forEach(run => this.take(run));
    }
  }

  private isShown({ id }: RunItem): boolean {
    const known = this.runs.get(id);
    const isFound = this.found.has(id);
    return known !== undefined && (isFound || matchesSearch(known, this.currentFilter.text));
  }

  /** Store a run of a page. */
  private take(run: RunItem): void {
    this.found.add(run.id);
    this.merge(run);
  }

  /** Store a run that matches the filter, unless its stored state is newer. */
  private merge(run: RunItem): boolean {
    const known = this.runs.get(run.id);
    if (known !== undefined && known.updated_at > run.updated_at) {
      return false;
    }
    if (matchesFilter(run, this.currentFilter)) {
      this.runs.set(run.id, toRunItem(run));
      return true;
    }
    return this.runs.delete(run.id);
  }

  private setFailed(error: unknown, cursors: RunCursor[]): void {
    if (cursors === this.cursors) {
      this.state = 'failed';
      this.error = error;
    }
  }

  private notify(): void {
    if (!this.isDisposed) {
      this.onUpdate();
    }
  }
}
