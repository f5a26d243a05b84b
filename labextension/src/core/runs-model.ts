import type { Filter } from './filters';
import { isFound, isListed } from './filters';
import type { Host } from './host';
import { ApiError } from './host';
import { Refresher } from './refresher';
import type { GroupName } from './run-order';
import { byActivity, byEnd, bySoonest, groupOf, patched, toItem } from './run-order';
import { Stream } from './run-pages';
import type { Run, RunChange, RunItem } from './types';
import { hasEnded } from './formatting';

/** What is to be drawn. */
export interface Listing {
  groups: Record<GroupName, RunItem[]>;
  /** Whether the server has more runs that are under way, or that have ended. */
  more: Record<'active' | 'ended', boolean>;
  state: 'failed' | 'loading' | 'ready';
  error: unknown;
  /** How many runs were searched. */
  known: number;
}

const CHANGES_DELAY_MS = 120;
/** More changed runs than these are read by the page. */
const MOST_SINGLE = 8;
const MOST_PAGES = 5;
const RUN_ID = /^[\w-]{16,}$/;

/** The runs that are known here: pages of the server's lists, kept up to date by its events. */
export class RunsModel {
  filter: Filter;
  private readonly runs = new Map<string, RunItem>();
  private streams: Stream[] = [];
  private state: Listing['state'] = 'loading';
  private error: unknown = null;
  private readonly changed = new Set<string>();
  private readonly reader = new Refresher(() => this.readChanged(), CHANGES_DELAY_MS);
  private readonly reloader = new Refresher(() => this.load(), CHANGES_DELAY_MS);
  private readonly unsubscribe: () => void;
  private disposed = false;

  /**
   * @param host - where runs come from
   * @param filter - which runs are asked for
   * @param page - how many are asked for at once
   * @param onUpdate - told that there is something new to draw
   * @param onWorkflow - told of each workflow that is met
   */
  constructor(
    private readonly host: Host,
    filter: Filter,
    private readonly page: number,
    private readonly onUpdate: () => void,
    private readonly onWorkflow: (id: string, name: string) => void
  ) {
    this.filter = filter;
    this.streams = Stream.forFilter(filter, page);
    this.unsubscribe = host.onChange(change => this.hear(change));
  }

  /** End it. */
  dispose(): void {
    this.disposed = true;
    this.unsubscribe();
    this.reader.dispose();
    this.reloader.dispose();
  }

  /** Read the first pages, or as many runs as are known, again. */
  async reload(): Promise<void> {
    await this.reloader.now();
  }

  /** Ask for other runs. */
  async setFilter(filter: Filter): Promise<void> {
    const same = filter.status === this.filter.status && filter.workflow === this.filter.workflow;
    this.filter = filter;
    if (same) {
      this.onUpdate();
      await this.findById(filter.text.trim());
      return;
    }
    this.streams = Stream.forFilter(filter, this.page);
    this.runs.clear();
    this.state = 'loading';
    this.onUpdate();
    await this.reload();
  }

  /** Read the next page. */
  async more(group: 'active' | 'ended'): Promise<void> {
    const { streams } = this;
    const size = this.filter.text.trim() === '' ? undefined : Stream.most;
    try {
      const open = streams.filter(
        stream => stream.isActive === (group === 'active') && !stream.done
      );
      for (const stream of open) {
        await this.advance(stream, streams, size);
      }
      this.state = 'ready';
    } catch (error) {
      this.fail(error, streams);
    }
    this.tell();
  }

  /** Put in what an action answered. */
  put(run: Run | RunItem): void {
    this.take(toItem(run));
    this.tell();
  }

  /** Get a run that is known. */
  get(id: string): RunItem | undefined {
    return this.runs.get(id);
  }

  /** What is to be drawn. */
  listing(): Listing {
    const groups: Listing['groups'] = { waiting: [], active: [], ended: [] };
    for (const run of this.runs.values()) {
      if (isFound(run, this.filter.text)) {
        groups[groupOf(run)].push(run);
      }
    }
    groups.waiting.sort(bySoonest);
    groups.active.sort(byActivity);
    groups.ended.sort(byEnd);
    const open = (active: boolean): boolean =>
      this.streams.some(stream => stream.isActive === active && stream.hasMore);
    const more = { active: open(true), ended: open(false) };
    return { groups, more, state: this.state, error: this.error, known: this.runs.size };
  }

  private hear(change: RunChange | null): void {
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
      this.take(patched(known, change));
      this.tell();
    }
    this.changed.add(change.run_id);
    this.reader.request();
  }

  /** Read the runs that changed; by the page where they are many. */
  private async readChanged(): Promise<void> {
    const ids = [...this.changed];
    this.changed.clear();
    if (ids.length > MOST_SINGLE) {
      this.reloader.request();
      return;
    }
    await Promise.all(ids.map(id => this.readOne(id)));
    this.tell();
  }

  private async readOne(id: string): Promise<void> {
    try {
      this.take(toItem(await this.host.get(id)));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        this.runs.delete(id);
      } else {
        this.fail(error, this.streams);
      }
    }
  }

  /** A run's whole id finds it, however old it is. */
  private async findById(text: string): Promise<void> {
    if (RUN_ID.test(text) && !this.runs.has(text)) {
      try {
        this.put(await this.host.get(text));
      } catch {
        // It is no run's id, or it can't be read now: nothing is found.
      }
    }
  }

  private async load(): Promise<void> {
    const { streams } = this;
    const known = new Set(this.runs.keys());
    try {
      const pages = await Promise.all(
        streams.map(stream => stream.top(this.host, this.filter.workflow))
      );
      if (streams !== this.streams) {
        return;
      }
      pages.flat().forEach(run => {
        known.delete(run.id);
        this.take(run);
      });
      this.forget(known);
      await this.reachEnded(streams);
      this.state = 'ready';
      this.error = null;
    } catch (error) {
      this.fail(error, streams);
    }
    this.tell();
  }

  /** Drop those of the runs that are missing where an answer would have had them. */
  private forget(missing: Set<string>): void {
    for (const id of missing) {
      const run = this.runs.get(id);
      if (run && this.streams.some(stream => stream.covers(run))) {
        this.runs.delete(id);
      }
    }
  }

  /** Where the newest runs are all under way, read on to those that have ended. */
  private async reachEnded(streams: Stream[]): Promise<void> {
    for (const stream of streams) {
      if (!stream.isActive && ![...this.runs.values()].some(hasEnded)) {
        await this.advance(stream, streams);
      }
    }
  }

  /** Read on until there is something new to show. */
  private async advance(stream: Stream, streams: Stream[], size?: number): Promise<void> {
    for (let page = 0, found = false; page < MOST_PAGES && !found && !stream.done; page += 1) {
      const runs = await stream.next(this.host, this.filter.workflow, size);
      if (streams !== this.streams) {
        return;
      }
      found = runs.some(run => stream.isActive || hasEnded(run));
      runs.forEach(run => this.take(run));
    }
  }

  /** Keep a run that is listed, unless a newer one is known. */
  private take(run: RunItem): void {
    this.onWorkflow(run.workflow_id, run.workflow_name);
    const known = this.runs.get(run.id);
    if (known !== undefined && known.updated_at > run.updated_at) {
      return;
    }
    if (isListed(run, this.filter)) {
      this.runs.set(run.id, run);
    } else {
      this.runs.delete(run.id);
    }
  }

  private fail(error: unknown, streams: Stream[]): void {
    if (streams === this.streams) {
      this.state = 'failed';
      this.error = error;
    }
  }

  private tell(): void {
    if (!this.disposed) {
      this.onUpdate();
    }
  }
}
