/** Counters that share one timer, which runs only while a counter is visible. */
import { setText } from './dom';
import { duration, elapsedMs, remaining } from './times';

const PERIOD_MS = 1000;

interface Counter {
  tick: () => void;
  visible: boolean;
}

const counters = new Map<Element, Counter>();
let timer: ReturnType<typeof setInterval> | null = null;
let observer: IntersectionObserver | null = null;
let listening = false;

/** Show the time until a deadline as a node's text, and `expiredText` when it has passed. */
export function startCountdown(node: Element, deadline: string, expiredText = 'due now'): void {
  const until = Date.parse(deadline);
  everySecond(node, () => {
    const left = until - Date.now();
    setText(node, left > 0 ? remaining(left) : expiredText);
  });
}

/** Show the time since an instant as a node's text. */
export function startCountUp(node: Element, since: string): void {
  everySecond(node, () =>
    setText(node, duration(Math.floor(elapsedMs(since, null) / 1000) * 1000))
  );
}

/** Stop the counter of a node. */
export function stopCounting(node: Element): void {
  if (counters.delete(node)) {
    observer?.unobserve(node);
    updateTimer();
  }
}

/** Stop all counters in a subtree. */
export function stopCountingIn(parent: Element): void {
  for (const node of [...counters.keys()]) {
    if (parent.contains(node)) {
      stopCounting(node);
    }
  }
}

/** Return whether the timer is running. */
export function isTicking(): boolean {
  return timer !== null;
}

/** Call `tick` now, and each second while a node is visible, until {@link stopCounting}. */
export function everySecond(node: Element, tick: () => void): void {
  tick();
  everyVisibleSecond(node, tick);
}

/** Call `tick` when a node is visible, and each second while it is, until {@link stopCounting}. */
export function everyVisibleSecond(node: Element, tick: () => void): void {
  const existing = counters.get(node);
  if (existing) {
    existing.tick = tick;
    return;
  }
  startObserving();
  counters.set(node, { tick, visible: observer === null });
  observer?.observe(node);
  updateTimer();
}

function startObserving(): void {
  if (observer === null && typeof IntersectionObserver !== 'undefined') {
    observer = new IntersectionObserver(entries => {
      for (const entry of entries) {
        onVisibilityChange(entry.target, entry.isIntersecting);
      }
      updateTimer();
    });
  }
  if (!listening) {
    listening = true;
    document.addEventListener('visibilitychange', updateTimer);
  }
}

function onVisibilityChange(node: Element, visible: boolean): void {
  const counter = counters.get(node);
  if (counter) {
    counter.visible = visible;
    if (visible) {
      counter.tick();
    }
  }
}

function updateTimer(): void {
  const needed =
    document.visibilityState !== 'hidden' &&
    [...counters.values()].some(counter => counter.visible);
  if (needed && timer === null) {
    tickAll();
    timer = setInterval(tickAll, PERIOD_MS);
  } else if (!needed && timer !== null) {
    clearInterval(timer);
    timer = null;
  }
}

function tickAll(): void {
  for (const counter of counters.values()) {
    if (counter.visible) {
      counter.tick();
    }
  }
}
