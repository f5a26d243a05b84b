import { Signal, type ISignal } from '@lumino/signaling';
import { ALL_RUNS } from '../core/filter';
import type { LiveRuns } from '../core/live-runs';
import type { RunList } from '../core/run-list';
import type { RunItem } from '../core/types';

/** A run that waits for a person. */
export interface WaitingRun {
  id: string;
  workflow: string;
  step: string;
  /** The run's title, or null if it has none. */
  title: string | null;
  /** Who is asked; empty for everyone. */
  approvers: string[];
  /** When the pause ends without an action. Two executions of a step have different deadlines. */
  deadline: string | null;
}

/** The number of runs that are read at once. The list reads four pages of paused runs at most. */
const PAGE_SIZE = 500;

/** The runs that wait for a person, kept up to date. */
export class WaitingRuns {
  private readonly list: RunList;
  private runs = new Map<string, WaitingRun>();
  private readonly _changed = new Signal<this, void>(this);
  private readonly _waitStarted = new Signal<this, WaitingRun>(this);
  private readonly _waitEnded = new Signal<this, WaitingRun>(this);
  private isLoaded = false;

  /** @param runs - follows the runs that wait */
  constructor(runs: LiveRuns) {
    const filter = { ...ALL_RUNS, status: 'waiting' as const };
    this.list = runs.list(filter, PAGE_SIZE, () => this.update());
  }

  /** The number of runs, followed by `+` if not all were counted. */
  get count(): string {
    return `${this.runs.size}${this.list.more.active ? '+' : ''}`;
  }

  /** Whether any run waits. */
  get hasAny(): boolean {
    return this.runs.size > 0;
  }

  /** The waiting run that was started last. */
  get latest(): WaitingRun | undefined {
    return [...this.runs.values()].at(0);
  }

  /** The titles of the runs, or their workflows' names; those that were started last first. */
  get titles(): string[] {
    return [...this.runs.values()].map(run => run.title ?? run.workflow);
  }

  /** Emitted when the waiting runs have changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Emitted when a run starts to wait, but not for the runs of the first read. */
  get waitStarted(): ISignal<this, WaitingRun> {
    return this._waitStarted;
  }

  /** Emitted when a run no longer waits. */
  get waitEnded(): ISignal<this, WaitingRun> {
    return this._waitEnded;
  }

  /** Stop following the runs. */
  dispose(): void {
    this.list.dispose();
    Signal.clearData(this);
  }

  private update(): void {
    const before = this.runs;
    const isAnnounced = this.isLoaded;
    this.isLoaded ||= this.list.state === 'ready';
    const found = this.list.items.flatMap(toWaitingRun);
    this.runs = new Map(found.map(run => [run.id, run]));
    const isNew = (one: WaitingRun, among: Map<string, WaitingRun>): boolean =>
      !isSamePause(one, among.get(one.id));
    const ended = [...before.values()].filter(run => isNew(run, this.runs));
    const started = found.filter(run => isNew(run, before));
    ended.forEach(run => this._waitEnded.emit(run));
    if (isAnnounced) {
      started.forEach(run => this._waitStarted.emit(run));
    }
    this._changed.emit();
  }
}

function toWaitingRun({ id, title, workflow_name, pause }: RunItem): WaitingRun[] {
  if (pause === null) {
    return [];
  }
  const { step, approvers, deadline } = pause;
  return [{ id, title, workflow: workflow_name, step, approvers, deadline }];
}

function isSamePause(one: WaitingRun, other: WaitingRun | undefined): boolean {
  return one.step === other?.step && isSameTime(one.deadline, other.deadline);
}

function isSameTime(one: string | null, other: string | null): boolean {
  return one === other || (one !== null && other !== null && Date.parse(one) === Date.parse(other));
}
