/** When each step of a run was computing, and when it waited: the bars of the time axis. */
import { hasEnded } from '../formatting';
import type { HistoryEntry, Run, Step } from '../types';

/** A span of time in which a step was computing, or in which the run waited at it. */
export interface Bar {
  kind: 'computing' | 'waiting';
  /** When it began, in milliseconds since 1970. */
  from: number;
  /** When it ended, or null if it still lasts. */
  to: number | null;
  /** The how manieth execution of the step it belongs to, from 1. */
  execution: number;
  /** The how manieth attempt of that execution, from 1. */
  attempt: number;
  /** How the attempt has ended, if not as it should. */
  problem: 'failed' | 'interrupted' | null;
}

/** The bars of a step, the earliest first. */
export interface TimelineRow {
  step: string;
  bars: Bar[];
}

/** The events that end a pause, or leave it as it is. */
const PAUSE_EVENTS = new Set(['resume', 'approve', 'reject', 'expire', 'cancel']);
/** How the note of an entry begins that does not count yet. */
const EARLY = 'It came while the step was still running';
/** How the notes of steps begin that have ended as they should. */
const NO_ERRORS = ['It pauses:', 'The reruns are used up'];

/** Return the bars of each step of a run, from its history if it has any. */
export function timelineRows(run: Run, history: readonly HistoryEntry[]): TimelineRow[] {
  const isKnown = history.some(({ event }) => event === 'begin');
  const rows = isKnown ? new Builder(run).build(history) : run.steps.map(roughRow(run));
  rows.forEach(markFailure(run));
  return rows;
}

/** Reads a history from its first to its last entry. */
class Builder {
  private readonly rows: TimelineRow[];
  private readonly executions = new Map<string, number[]>();
  private open: Bar | null = null;
  /** Where the run was when its last bar has ended. */
  private idle: { step: string; at: number; execution: number; attempt: number } | null = null;

  constructor(private readonly run: Run) {
    this.rows = run.steps.map(({ name }) => ({ step: name, bars: [] }));
  }

  build(history: readonly HistoryEntry[]): TimelineRow[] {
    history.filter(({ note }) => note?.startsWith(EARLY) !== true).forEach(each => this.take(each));
    this.end();
    return this.rows;
  }

  private take(entry: HistoryEntry): void {
    const at = Date.parse(entry.at);
    switch (entry.event) {
      case 'begin':
        this.close(at, 'interrupted');
        this.begin(entry, at);
        break;
      case 'finish':
        this.close(at, isFailure(entry.note) ? 'failed' : null);
        break;
      case 'requeue':
      case 'lapse':
        this.close(at, 'interrupted');
        break;
      default:
        if (PAUSE_EVENTS.has(entry.event)) {
          this.close(at, 'interrupted', false);
          this.wait(entry.step, at);
        }
    }
  }

  private begin({ step, execution, attempt }: HistoryEntry, from: number): void {
    const known = this.executions.get(step) ?? [];
    if (!known.includes(execution)) {
      known.push(execution);
      this.executions.set(step, known);
    }
    const number = known.indexOf(execution) + 1;
    this.open = { kind: 'computing', from, to: null, execution: number, attempt, problem: null };
    this.bars(step).push(this.open);
    this.idle = { step, at: from, execution: number, attempt };
  }

  /** End the bar of the step that is computing. */
  private close(at: number, problem: Bar['problem'], mayWait = true): void {
    if (this.open !== null && this.idle !== null) {
      Object.assign(this.open, { to: at, problem });
      this.idle.at = at;
      this.open = null;
      if (!mayWait) {
        this.idle = null;
      }
    }
  }

  /** Note that the run has waited until now at the step that has ended last. */
  private wait(step: string, until: number | null): void {
    const { idle } = this;
    if (idle?.step !== step || this.open !== null) {
      return;
    }
    const bars = this.bars(idle.step);
    const last = bars.at(-1);
    if (last?.kind === 'waiting' && last.from === idle.at) {
      last.to = until;
    } else {
      const { at: from, execution, attempt } = idle;
      bars.push({ kind: 'waiting', from, to: until, execution, attempt, problem: null });
    }
  }

  /** Note what lasts until now, or has ended without an entry. */
  private end(): void {
    const { run } = this;
    const isOver = run.status !== 'running';
    if (this.open !== null && isOver) {
      this.close(Date.parse(run.ended_at ?? run.updated_at), 'interrupted');
    }
    if (run.pause !== null) {
      this.wait(run.pause.step, null);
    }
  }

  private bars(step: string): Bar[] {
    let row = this.rows.find(each => each.step === step);
    if (row === undefined) {
      row = { step, bars: [] };
      this.rows.push(row);
    }
    return row.bars;
  }
}

/** Return a function that returns the bars of a step whose history is not known. */
function roughRow(run: Run): (step: Step) => TimelineRow {
  return ({ name, started_at, ended_at }) => {
    if (started_at === null) {
      return { step: name, bars: [] };
    }
    const from = Date.parse(started_at);
    const base = { execution: 1, attempt: 1, problem: null };
    if (run.pause?.step === name) {
      const since = Math.max(from, Date.parse(run.pause.since));
      return {
        step: name,
        bars: [
          { kind: 'computing', from, to: since, ...base },
          { kind: 'waiting', from: since, to: null, ...base }
        ]
      };
    }
    const end = ended_at ?? (hasEnded(run) ? (run.ended_at ?? run.updated_at) : null);
    const to = end === null ? null : Math.max(from, Date.parse(end));
    return { step: name, bars: [{ kind: 'computing', from, to, ...base }] };
  };
}

/** Return a function that marks the last bar of a step that has failed. */
function markFailure(run: Run): (row: TimelineRow) => void {
  return ({ step, bars }) => {
    const isFailed = run.steps.some(({ name, status }) => name === step && status === 'failed');
    const last = bars.filter(({ kind }) => kind === 'computing').at(-1);
    if (isFailed && last !== undefined) {
      last.problem = 'failed';
    }
  };
}

function isFailure(note: string | null): boolean {
  return note !== null && !NO_ERRORS.some(start => note.startsWith(start));
}
