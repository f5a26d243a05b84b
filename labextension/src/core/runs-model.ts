import type { Filter } from './filters';
import { matchesFilter, matchesSearch } from './filters';
import { hasEnded } from './formatting';
import type { Host } from './host';
import { ApiError } from './host';
import { Refresher } from './refresher';
import { RunCursor } from './run-cursor';
import type { GroupName } from './run-order';
import { applyChange, byActivity, byDeadline, byEnd, groupOf, toRunItem } from './run-order';
import type { Run, RunChange, RunItem } from './types';

/** The runs to show, and whether there are more. */
export interface Listing {
  groups: Record<GroupName, RunItem[]>;
  /** Whether the server has more active runs, or more runs that have ended. */
  more: Record<'active' | 'ended', boolean>;
  state: 'failed' | 'loading' | 'ready';
  error: unknown;
  /** Number of runs that were read. */
  loaded: number;
}

const CHANGES_DELAY_MS = 120;
/** If more runs than these have changed, whole pages are read instead. */
const MAX_SINGLE_READS = 8;
const MAX_PAGES = 5;
const RUN_ID = /^[\w-]{16,}$/;

/** The runs of the list: pages of the server's lists, updated by its events. */
export class RunsModel {
  filter: Filter;
  private readonly runs = new Map<string, RunItem>();
  private cursors: RunCursor[] = [];
  private state: Listing['state'] = 'loading';
  private error: unknown = null;
  private readonly changed = new Set<string>();
  private readonly changeReader = new Refresher(() => this.readChanged(), CHANGES_DELAY_MS);
  private readonly reloader = new Refresher(() => this.load(), CHANGES_DELAY_MS);
  private readonly unsubscribe: () => void;
  private disposed = false;

  /**
   * @param host - reads runs
   * @param filter - the initial filter
   * @param pageSize - the number of runs to read at once
   * @param onUpdate - called when the runs have changed
   * @param onWorkflow - called with the workflow of each run that is read
   */
  constructor(
    private readonly host: Host,
    filter: Filter,
    private readonly pageSize: number,
    private readonly onUpdate: () => void,
    private readonly onWorkflow: (id: string, name: string) => void
  ) {
    this.filter = filter;
    this.cursors = RunCursor.forFilter(filter, pageSize);
    this.unsubscribe = host.onChange(change => this.onChange(change));
  }

  /** Stop all updates. */
  dispose(): void {
    this.disposed = true;
    this.unsubscribe();
    this.changeReader.dispose();
    this.reloader.dispose();
  }

  /** Read all known pages again, or the first ones. */
  async reload(): Promise<void> {
    await this.reloader.now();
  }

  /** Change the filter, and read the runs for it. */
  async setFilter(filter: Filter): Promise<void> {
    const same = filter.status === this.filter.status && filter.workflow === this.filter.workflow;
    this.filter = filter;
    if (same) {
      this.onUpdate();
      await this.findById(filter.text.trim());
      return;
    }
    this.cursors = RunCursor.forFilter(filter, this.pageSize);
    this.runs.clear();
    this.state = 'loading';
    this.onUpdate();
    await this.reload();
  }

  /** Read the next page of a group. */
  async loadMore(group: 'active' | 'ended'): Promise<void> {
    const { cursors } = this;
    const size = this.filter.text.trim() === '' ? undefined : RunCursor.maxPageSize;
    try {
      const open = cursors.filter(
        cursor => cursor.isActive === (group === 'active') && !cursor.isAtEnd
      );
      for (const cursor of open) {
        await this.loadNext(cursor, cursors, size);
      }
      this.state = 'ready';
    } catch (error) {
      this.fail(error, cursors);
    }
    this.notify();
  }

  /** Update the run that an action returned. */
  update(run: Run | RunItem): void {
    this.merge(toRunItem(run));
    this.notify();
  }

  /** Return a run of the list, or undefined if it was not read. */
  get(id: string): RunItem | undefined {
    return this.runs.get(id);
  }

  /** Return the runs that match the filter, in their groups. */
  listing(): Listing {
    const groups: Listing['groups'] = { waiting: [], active: [], ended: [] };
    for (const run of this.runs.values()) {
      if (matchesSearch(run, this.filter.text)) {
        groups[groupOf(run)].push(run);
      }
    }
    groups.waiting.sort(byDeadline);
    groups.active.sort(byActivity);
    groups.ended.sort(byEnd);
    const open = (active: boolean): boolean =>
      this.cursors.some(cursor => cursor.isActive === active && cursor.hasMore);
    const more = { active: open(true), ended: open(false) };
    return { groups, more, state: this.state, error: this.error, loaded: this.runs.size };
  }

  private onChange(change: RunChange | null): void {
    if (change === null) {
      this.reloader.request();
      return;
    }
    this.onWorkflow(change.workflow_id, change.workflow_name);
    const { workflow } = this.filter;
    if (workflow !== '' && change.workflow_id !== workflow) {
      return;
    }
    const known = this.runs.get(change.run_id);
    if (known !== undefined && known.updated_at <= change.updated_at) {
      this.merge(applyChange(known, change));
      this.notify();
    }
    this.changed.add(change.run_id);
    this.changeReader.request();
  }

  /** Read the runs that have changed, or whole pages if there are many. */
  private async readChanged(): Promise<void> {
    const ids = [...this.changed];
    this.changed.clear();
    if (ids.length > MAX_SINGLE_READS) {
      this.reloader.request();
      return;
    }
    await Promise.all(ids.map(id => this.readRun(id)));
    this.notify();
  }

  private async readRun(id: string): Promise<void> {
    try {
      this.merge(toRunItem(await this.host.get(id)));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        this.runs.delete(id);
      } else {
        this.fail(error, this.cursors);
      }
    }
  }

  /** Read the run whose id is the search text, since it may be older than the pages read. */
  private async findById(text: string): Promise<void> {
    if (RUN_ID.test(text) && !this.runs.has(text)) {
      try {
        this.update(await this.host.get(text));
      } catch {
        // The text is not the id of a run, or the run can't be read now.
      }
    }
  }

  private async load(): Promise<void> {
    const { cursors } = this;
    const known = new Set(this.runs.keys());
    try {
      const pages = await Promise.all(
        cursors.map(cursor => cursor.reload(this.host, this.filter.workflow))
      );
      if (cursors !== this.cursors) {
        return;
      }
      pages.flat().forEach(run => {
        known.delete(run.id);
        this.merge(run);
      });
      this.removeMissing(known);
      await this.loadUntilEnded(cursors);
      this.state = 'ready';
      this.error = null;
    } catch (error) {
      this.fail(error, cursors);
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

  /** Read pages until one has a run to show. */
  private async loadNext(cursor: RunCursor, cursors: RunCursor[], size?: number): Promise<void> {
    for (let page = 0, found = false; page < MAX_PAGES && !found && !cursor.isAtEnd; page += 1) {
      const runs = await cursor.nextPage(this.host, this.filter.workflow, size);
      if (cursors !== this.cursors) {
        return;
      }
      found = runs.some(run => cursor.isActive || hasEnded(run));
      runs.forEach(run => this.merge(run));
    }
  }

  /** Store a run that matches the filter, unless its stored state is newer. */
  private merge(run: RunItem): void {
    this.onWorkflow(run.workflow_id, run.workflow_name);
    const known = this.runs.get(run.id);
    if (known !== undefined && known.updated_at > run.updated_at) {
      return;
    }
    if (matchesFilter(run, this.filter)) {
      this.runs.set(run.id, run);
    } else {
      this.runs.delete(run.id);
    }
  }

  private fail(error: unknown, cursors: RunCursor[]): void {
    if (cursors === this.cursors) {
      this.state = 'failed';
      this.error = error;
    }
  }

  private notify(): void {
    if (!this.disposed) {
      this.onUpdate();
    }
  }
}
