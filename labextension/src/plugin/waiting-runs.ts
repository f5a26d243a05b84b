import { Signal, type ISignal } from '@lumino/signaling';
import type { Host } from '../core/host';
import type { RunChange, RunItem } from '../core/types';

/** A run that waits for a person. */
export interface WaitingRun {
  id: string;
  workflow: string;
  step: string;
  /** The run's title, or null if it has none or was not read. */
  title: string | null;
  /** Who is asked; empty for everyone. */
  approvers: string[];
  /** When the pause ends without an action. Two executions of a step have different deadlines. */
  deadline: string | null;
}

const PAGE_SIZE = 500;
const MAX_PAGES = 4;

/** The runs that wait for a person, updated by events. */
export class WaitingRuns {
  private readonly runs = new Map<string, WaitingRun>();
  private readonly unsubscribe: () => void;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _waitStarted = new Signal<this, WaitingRun>(this);
  private readonly _waitEnded = new Signal<this, WaitingRun>(this);
  private isComplete = true;
  private isLoaded = false;
  private requestId = 0;

  /** @param host - lists runs and sends their changes */
  constructor(private readonly host: Pick<Host, 'get' | 'list' | 'onChange'>) {
    this.unsubscribe = host.onChange(change => {
      if (change) {
        this.apply(change);
      } else {
        void this.refresh();
      }
    });
  }

  /** The number of runs, followed by `+` if not all were counted. */
  get count(): string {
    return `${this.runs.size}${this.isComplete ? '' : '+'}`;
  }

  /** Whether any run waits. */
  get hasAny(): boolean {
    return this.runs.size > 0;
  }

  /** The waiting run that was started last. */
  get latest(): WaitingRun | undefined {
    const ids = [...this.runs.keys()].sort();
    return this.runs.get(ids.at(-1) ?? '');
  }

  /** Emitted when the waiting runs have changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The titles of the runs, or their workflows' names; those that were started last first. */
  get titles(): string[] {
    const ids = [...this.runs.keys()].sort().reverse();
    return ids.map(id => this.runs.get(id)).map(run => run?.title ?? run?.workflow ?? '');
  }

  /**
   * Emitted when a run starts to wait, once its title was read, but not for the runs of the first
   * read.
   */
  get waitStarted(): ISignal<this, WaitingRun> {
    return this._waitStarted;
  }

  /** Emitted when a run no longer waits. */
  get waitEnded(): ISignal<this, WaitingRun> {
    return this._waitEnded;
  }

  /** Read the runs again. After an error, the next reconnect reads them. */
  async refresh(): Promise<void> {
    const requestId = ++this.requestId;
    try {
      const found = await this.fetch();
      if (requestId === this.requestId) {
        this.replace(found);
      }
    } catch {
      // The panel shows the error.
    }
  }

  /** Unsubscribe from changes. */
  dispose(): void {
    this.requestId++;
    this.unsubscribe();
    Signal.clearData(this);
  }

  private async fetch(): Promise<WaitingRun[]> {
    const found: RunItem[] = [];
    let before: string | undefined;
    this.isComplete = false;
    for (let page = 0; page < MAX_PAGES && !this.isComplete; page++) {
      const items = await this.host.list({ status: 'paused', limit: PAGE_SIZE, before });
      found.push(...items);
      before = items.at(-1)?.id;
      this.isComplete = items.length < PAGE_SIZE;
    }
    return found.flatMap(toWaitingRun);
  }

  private replace(found: WaitingRun[]): void {
    const ids = new Set(found.map(run => run.id));
    for (const run of [...this.runs.values()].filter(run => !ids.has(run.id))) {
      this.remove(run.id);
    }
    for (const run of found) {
      if (this.add(run) && this.isLoaded) {
        this._waitStarted.emit(run);
      }
    }
    this.isLoaded = true;
    this._changed.emit();
  }

  private apply(change: RunChange): void {
    if (change.status === 'paused' && change.pause_kind === 'suspend') {
      const { run_id: id, workflow_name: workflow, step, deadline } = change;
      const run = { id, workflow, step, deadline, title: null, approvers: [] };
      if (this.add(run) && this.isLoaded) {
        void this.announce(run);
      }
    } else if (!this.remove(change.run_id)) {
      return;
    }
    this._changed.emit();
  }

  /** Read what a change does not say about a run, and emit that the run waits. */
  private async announce(run: WaitingRun): Promise<void> {
    try {
      Object.assign(run, detailsOf(await this.host.get(run.id)));
    } catch {
      // The run is announced without its title.
    }
    if (this.runs.get(run.id) === run) {
      this._waitStarted.emit(run);
      this._changed.emit();
    }
  }

  /** Add a run. Returns whether it waits in a pause that was not known. */
  private add(run: WaitingRun): boolean {
    const before = this.runs.get(run.id);
    if (before?.step === run.step && isSameTime(before.deadline, run.deadline)) {
      const { title, approvers } = run;
      Object.assign(before, title === null ? {} : { title, approvers });
      return false;
    }
    this.remove(run.id);
    this.runs.set(run.id, run);
    return true;
  }

  private remove(id: string): boolean {
    const run = this.runs.get(id);
    if (run) {
      this.runs.delete(id);
      this._waitEnded.emit(run);
    }
    return run !== undefined;
  }
}

function toWaitingRun(run: RunItem): WaitingRun[] {
  if (run.pause?.kind !== 'suspend') {
    return [];
  }
  const { id, workflow_name: workflow, pause } = run;
  return [{ id, workflow, step: pause.step, deadline: pause.deadline, ...detailsOf(run) }];
}

function detailsOf({ title, pause }: RunItem): Pick<WaitingRun, 'approvers' | 'title'> {
  return { title, approvers: pause?.approvers ?? [] };
}

function isSameTime(one: string | null, other: string | null): boolean {
  return one === other || (one !== null && other !== null && Date.parse(one) === Date.parse(other));
}
