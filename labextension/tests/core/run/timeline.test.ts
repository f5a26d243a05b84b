import { describe, expect, it } from 'vitest';
import { timeScale } from '../../../src/core/run/time-scale';
import type { Bar, TimelineRow } from '../../../src/core/run/timeline';
import { timelineRows } from '../../../src/core/run/timeline';
import type { HistoryEntry, Run } from '../../../src/core/types';
import { makeError, makePause, makeRun } from '../fake-host';

const START = Date.parse('2026-11-22T10:00:00Z');

function at(seconds: number): string {
  return new Date(START + seconds * 1000).toISOString();
}

type Brief = [seconds: number, event: string, step: string, props?: Partial<HistoryEntry>];

function history(...entries: Brief[]): HistoryEntry[] {
  return entries.map(([seconds, event, step, props = {}], n) => {
    const known = { execution: 1, attempt: 1, by: null, via: null, note: null };
    return { n, at: at(seconds), event, step, ...known, ...props };
  });
}

/** Return the bars of a step as `computing 0-5`, with numbers and problems if there are any. */
function bars(rows: TimelineRow[], step: string): string[] {
  const seconds = (time: number | null): string =>
    time === null ? '…' : String((time - START) / 1000);
  const text = ({ kind, from, to, execution, attempt, problem }: Bar): string =>
    [
      `${kind} ${seconds(from)}-${seconds(to)}`,
      execution > 1 && `execution ${execution}`,
      attempt > 1 && `attempt ${attempt}`,
      problem
    ]
      .filter(Boolean)
      .join(', ');
  return (rows.find(row => row.step === step)?.bars ?? []).map(text);
}

const SUCCEEDED: Partial<Run> = { status: 'succeeded', ended_at: at(100), updated_at: at(100) };

describe('the bars of a run', () => {
  it('are each attempt and each rerun, and the waits between them', () => {
    const run = makeRun('r1', SUCCEEDED);
    const rows = timelineRows(
      run,
      history(
        [0, 'start', 'ask'],
        [1, 'begin', 'ask'],
        [3, 'finish', 'ask', { note: 'It pauses: rerun, until 2026-11-22 10:00:13 UTC.' }],
        [13, 'expire', 'ask', { via: 'timer' }],
        [13, 'begin', 'ask', { execution: 2 }],
        [14, 'finish', 'ask', { execution: 2, note: 'KeyError: x' }],
        [20, 'expire', 'ask', { execution: 2 }],
        [20, 'begin', 'ask', { execution: 2, attempt: 2 }],
        [22, 'finish', 'ask', { execution: 2, attempt: 2 }],
        [23, 'begin', 'pay', { execution: 3 }],
        [30, 'finish', 'pay', { execution: 3 }]
      )
    );
    expect(bars(rows, 'ask')).toEqual([
      'computing 1-3',
      'waiting 3-13',
      'computing 13-14, execution 2, failed',
      'waiting 14-20, execution 2',
      'computing 20-22, execution 2, attempt 2'
    ]);
    // The executions of a run are numbered, those of a step are counted.
    expect(bars(rows, 'pay')).toEqual(['computing 23-30']);
  });

  it('count approvals as one wait, which lasts while the run is paused', () => {
    const pause = makePause('suspend', 'ask', { since: at(3) });
    const entries = history(
      [1, 'begin', 'ask'],
      [3, 'finish', 'ask', { note: 'It pauses: suspend, until …' }],
      [5, 'remind', 'ask'],
      [7, 'approve', 'ask']
    );
    const rows = timelineRows(makeRun('r1', { status: 'paused', pause }), entries);
    expect(bars(rows, 'ask')).toEqual(['computing 1-3', 'waiting 3-…']);
    const ended = [...entries, ...history([9, 'approve', 'ask'], [9, 'begin', 'pay'])];
    expect(bars(timelineRows(makeRun('r1'), ended), 'ask')).toEqual([
      'computing 1-3',
      'waiting 3-9'
    ]);
    expect(bars(timelineRows(makeRun('r1'), ended), 'pay')).toEqual(['computing 9-…']);
  });

  it('end where the server was gone, and where the run was canceled', () => {
    const rows = timelineRows(
      makeRun('r1', { status: 'canceled', ended_at: at(20) }),
      history(
        [1, 'begin', 'ask'],
        [4, 'lapse', 'ask'],
        [9, 'begin', 'ask', { attempt: 2 }],
        [20, 'cancel', 'ask', { attempt: 2 }]
      )
    );
    expect(bars(rows, 'ask')).toEqual([
      'computing 1-4, interrupted',
      'computing 9-20, attempt 2, interrupted'
    ]);
  });

  it('are not ended by what came too early, nor is the queue a wait', () => {
    const note = 'It came while the step was still running, and is kept for the step’s end.';
    const rows = timelineRows(
      makeRun('r1', { status: 'canceled', ended_at: at(20) }),
      history(
        [1, 'begin', 'ask'],
        [2, 'resume', 'ask', { note }],
        [4, 'finish', 'ask'],
        [20, 'cancel', 'pay']
      )
    );
    expect(bars(rows, 'ask')).toEqual(['computing 1-4']);
    expect(bars(rows, 'pay')).toEqual([]);
  });

  it('are marked where the step has failed at last', () => {
    const steps = [{ name: 'ask', status: 'failed' as const, error: makeError('ask') }];
    const run = makeRun('r1', { status: 'failed', steps, ended_at: at(4) });
    const rows = timelineRows(run, history([1, 'begin', 'ask'], [4, 'finish', 'ask']));
    expect(bars(rows, 'ask')).toEqual(['computing 1-4, failed']);
  });

  it('come from the steps’ times where no history was kept', () => {
    const steps = [
      { name: 'ask', status: 'succeeded' as const, started_at: at(0), ended_at: at(5) },
      { name: 'pay', status: 'paused' as const, started_at: at(5) },
      { name: 'end' }
    ];
    const pause = makePause('suspend', 'pay', { since: at(8) });
    const rows = timelineRows(makeRun('r1', { status: 'paused', pause, steps }), []);
    expect(bars(rows, 'ask')).toEqual(['computing 0-5']);
    expect(bars(rows, 'pay')).toEqual(['computing 5-8', 'waiting 8-…']);
    expect(bars(rows, 'end')).toEqual([]);
    const running = [{ name: 'ask', status: 'running' as const, started_at: at(0) }];
    expect(bars(timelineRows(makeRun('r1', { steps: running }), []), 'ask')).toEqual([
      'computing 0-…'
    ]);
    const canceled = makeRun('r1', { status: 'canceled', ended_at: at(7), steps: running });
    expect(bars(timelineRows(canceled, []), 'ask')).toEqual(['computing 0-7']);
  });
});

describe('the time axis', () => {
  const DAY = 86_400;
  const bar = (from: number, to: number | null, kind: Bar['kind'] = 'computing'): Bar => {
    const end = to === null ? null : START + to * 1000;
    const from_ = START + from * 1000;
    return { kind, from: from_, to: end, execution: 1, attempt: 1, problem: null };
  };
  const axis = (...all: Bar[]): NonNullable<ReturnType<typeof timeScale>> => {
    const scale = timeScale([{ step: 'ask', bars: all }], START + 100_000);
    expect(scale).not.toBeNull();
    return scale as NonNullable<typeof scale>;
  };
  const place = (scale: NonNullable<ReturnType<typeof timeScale>>, seconds: number): number =>
    scale.place(START + seconds * 1000);

  it('is as long as the time while nothing waits long', () => {
    const scale = axis(bar(0, 60), bar(60, 75, 'waiting'), bar(75, 100));
    expect([0, 25, 60, 100].map(seconds => place(scale, seconds))).toEqual([0, 0.25, 0.6, 1]);
    expect(scale.breaks).toEqual([]);
    expect(scale.ticks[0]).toEqual({ at: 0, time: START });
    expect(scale.ticks.at(-1)?.at).toBe(1);
    expect(scale.ticks.length).toBeGreaterThan(2);
  });

  it('ends now if a bar still lasts', () => {
    expect(place(axis(bar(0, null)), 50)).toBe(0.5);
  });

  it('gives long waits half of its length, with a break', () => {
    const scale = axis(bar(0, 10), bar(10, 2 * DAY, 'waiting'), bar(2 * DAY, 2 * DAY + 20));
    expect(place(scale, 10)).toBeCloseTo(1 / 6);
    expect(place(scale, 2 * DAY)).toBeCloseTo(4 / 6);
    expect(scale.breaks).toHaveLength(1);
    expect(scale.ticks.map(({ time }) => (time - START) / 1000)).toEqual([
      0,
      2 * DAY,
      2 * DAY + 20
    ]);
  });

  it('shortens the longest waits first', () => {
    const scale = axis(
      bar(0, 10),
      bar(10, 12, 'waiting'),
      bar(12, 22),
      bar(22, 22 + DAY, 'waiting'),
      bar(22 + DAY, 32 + DAY)
    );
    // 30 s of work, the wait of 2 s as it is, and 28 s for the day.
    expect(place(scale, 12) - place(scale, 10)).toBeCloseTo(2 / 60);
    expect(place(scale, 22 + DAY) - place(scale, 22)).toBeCloseTo(28 / 60);
    expect(scale.breaks).toHaveLength(1);
  });

  it('copes with nothing, with an instant, and with clocks that went back', () => {
    expect(timeScale([{ step: 'ask', bars: [] }], START)).toBeNull();
    expect(place(axis(bar(5, 5)), 5)).toBe(0);
    const back = axis(bar(10, 4), bar(4, 8));
    [0, 4, 8, 10, 99].forEach(seconds => {
      expect(place(back, seconds)).toBeGreaterThanOrEqual(0);
      expect(place(back, seconds)).toBeLessThanOrEqual(1);
    });
  });
});
