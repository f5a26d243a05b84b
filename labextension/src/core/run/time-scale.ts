/** The axis of a timeline: time as a fraction of its length, with long waits shortened. */
import type { TimelineRow } from './timeline';

/** A label of the axis. */
export interface Tick {
  /** Its place, from 0 to 1. */
  at: number;
  /** The instant, in milliseconds since 1970. */
  time: number;
}

/** A part of the axis where time is left out: its ends, from 0 to 1. */
export interface TimeCut {
  from: number;
  to: number;
}

/** The places of instants on an axis. */
export interface TimeScale {
  /** Return the place of an instant, from 0 to 1. */
  place: (time: number) => number;
  ticks: Tick[];
  breaks: TimeCut[];
}

interface Span {
  from: number;
  to: number;
  isBusy: boolean;
  /** How long it is drawn. */
  length: number;
}

/** The least distance of two labels. */
const MIN_DISTANCE = 0.17;
/** How much longer than drawn a wait has to be to count as shortened. */
const SHORTENED = 1.05;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map(count => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map(count => count * MINUTE),
  ...[1, 2, 3, 6, 12].map(count => count * HOUR),
  ...[1, 2, 7, 14].map(count => count * DAY)
];

/**
 * Return the axis of a timeline.
 *
 * The spans in which no step computes take at most half of it; longer ones are shortened first.
 */
export function timeScale(rows: readonly TimelineRow[], now: number): TimeScale | null {
  const spans = spansOf(rows, now);
  if (spans.length === 0) {
    return null;
  }
  shorten(spans);
  const whole = Math.max(1, sum(spans.map(({ length }) => length)));
  let end = 0;
  const placed = spans.map(span => {
    const start = end;
    end += span.length / whole;
    return { ...span, start, end };
  });
  const place = (time: number): number => {
    const span = placed.find(({ to }) => time <= to) ?? placed[placed.length - 1];
    const share = (time - span.from) / Math.max(1, span.to - span.from);
    return span.start + Math.min(1, Math.max(0, share)) * (span.end - span.start);
  };
  const cut = placed.filter(({ from, to, length }) => to - from > length * SHORTENED);
  const breaks = cut.map(({ start, end: to }) => ({ from: start, to }));
  const edges = cut.flatMap(({ from, to }) => [from, to]);
  return { place, breaks, ticks: ticksOf(spans, edges, place) };
}

/** Return the spans between the bars' starts and ends, the earliest first. */
function spansOf(rows: readonly TimelineRow[], now: number): Span[] {
  const busy = rows
    .flatMap(({ bars }) => bars)
    .filter(({ kind }) => kind === 'computing')
    .map(({ from, to }) => ({ from, to: Math.max(from, to ?? now) }));
  const times = rows
    .flatMap(({ bars }) => bars)
    .flatMap(({ from, to }) => [from, Math.max(from, to ?? now)]);
  const sorted = [...new Set(times)].sort((one, other) => one - other);
  const spans: Span[] = [];
  sorted.slice(1).forEach((to, at) => {
    const from = sorted[at];
    const isBusy = busy.some(each => each.from <= from && each.to >= to);
    const last = spans.at(-1);
    if (last !== undefined && !last.isBusy && !isBusy) {
      Object.assign(last, { to, length: to - last.from });
    } else {
      spans.push({ from, to, isBusy, length: to - from });
    }
  });
  return sorted.length === 1
    ? [{ from: sorted[0], to: sorted[0] + 1, isBusy: true, length: 1 }]
    : spans;
}

/** Shorten the longest idle spans until all of them are together as long as the busy ones. */
function shorten(spans: Span[]): void {
  const idle = spans
    .filter(({ isBusy }) => !isBusy)
    .sort((one, other) => one.length - other.length);
  let left = sum(spans.filter(({ isBusy }) => isBusy).map(({ length }) => length)) || Infinity;
  idle.forEach((span, at) => {
    span.length = Math.min(span.length, left / (idle.length - at));
    left -= span.length;
  });
}

/** Return a few labels: the start, the end, the ends of shortened spans and round times. */
function ticksOf(
  spans: readonly Span[],
  edges: readonly number[],
  place: (time: number) => number
): Tick[] {
  const [first, last] = [spans[0].from, spans[spans.length - 1].to];
  const round = edges.length > 0 ? [] : roundTimes(first, last);
  const ticks: Tick[] = [];
  for (const time of [first, last, ...edges, ...round]) {
    const at = place(time);
    if (ticks.every(tick => Math.abs(tick.at - at) >= MIN_DISTANCE)) {
      ticks.push({ at, time });
    }
  }
  return ticks.sort((one, other) => one.at - other.at);
}

/** Return the round times between two instants, four or five of them. */
function roundTimes(first: number, last: number): number[] {
  const step = STEPS.find(each => each >= (last - first) / 5) ?? (last - first) / 5;
  const offset = new Date(first).getTimezoneOffset() * MINUTE;
  const times: number[] = [];
  for (
    let time = Math.ceil((first - offset) / step) * step + offset;
    time < last;
    time += Math.max(1, step)
  ) {
    times.push(time);
  }
  return times;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
