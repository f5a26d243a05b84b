import { Signal, type ISignal } from '@lumino/signaling';
import type { Host } from '../core/host';
import type { RunChange, RunItem } from '../core/types';

/** A run that waits for a person. */
export interface WaitingRun {
  id: string;
  workflow: string;
  step: string;
  /** When the pause ends by itself; another execution of a step has another one. */
  deadline: string | null;
}

const PAGE_SIZE = 500;
const MAX_PAGES = 4;

/** Which runs wait for a person, kept up to date by events. */
export class WaitingRuns {
  private readonly runs = new Map<string, WaitingRun>();
  private readonly unsubscribe: () => void;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _waitStarted = new Signal<this, WaitingRun>(this);
  private readonly _waitEnded = new Signal<this, WaitingRun>(this);
  private isComplete = true;
  private isLoaded = false;
  private requestId = 0;

  /** @param host - where runs come from */
  constructor(private readonly host: Pick<Host, 'list' | 'onChange'>) {
    this.unsubscribe = host.onChange(change => {
      if (change) {
        this.apply(change);
      } else {
        void this.refresh();
      }
    });
  }

  /** How many there are; with a `+` where there are more than were counted. */
  get count(): string {
    return `${this.runs.size}${this.isComplete ? '' : '+'}`;
  }

  /** Whether there is any. */
  get hasAny(): boolean {
    return this.runs.size > 0;
  }

  /** The one that was started last. */
  get latest(): WaitingRun | undefined {
    const ids = [...this.runs.keys()].sort();
    return this.runs.get(ids.at(-1) ?? '');
  }

  /** Emitted when any of this has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Emitted when a run starts to wait; not for those found at the start. */
  get waitStarted(): ISignal<this, WaitingRun> {
    return this._waitStarted;
  }

  /** Emitted when a run does not wait any more. */
  get waitEnded(): ISignal<this, WaitingRun> {
    return this._waitEnded;
  }

  /** Ask the server anew; what it can't tell now comes with the next connection. */
  async refresh(): Promise<void> {
    const requestId = ++this.requestId;
    try {
      const found = await this.fetch();
      if (requestId === this.requestId) {
        this.replace(found);
      }
    } catch {
      // The panel says so.
    }
  }

  /** Hear of nothing any more. */
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
      this.add(run);
    }
    this.isLoaded = true;
    this._changed.emit();
  }

  private apply(change: RunChange): void {
    if (change.status === 'paused' && change.pause_kind === 'suspend') {
      const { run_id: id, workflow_name: workflow, step, deadline } = change;
      this.add({ id, workflow, step, deadline });
    } else if (!this.remove(change.run_id)) {
      return;
    }
    this._changed.emit();
  }

  private add(run: WaitingRun): void {
    const before = this.runs.get(run.id);
    const isNew = before?.step !== run.step || !isSameTime(before.deadline, run.deadline);
    if (before && isNew) {
      this.remove(run.id);
    }
    this.runs.set(run.id, run);
    if (isNew && this.isLoaded) {
      this._waitStarted.emit(run);
    }
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
  return run.pause?.kind === 'suspend'
    ? [
        {
          id: run.id,
          workflow: run.workflow_name,
          step: run.pause.step,
          deadline: run.pause.deadline
        }
      ]
    : [];
}

function isSameTime(one: string | null, other: string | null): boolean {
  return one === other || (one !== null && other !== null && Date.parse(one) === Date.parse(other));
}
