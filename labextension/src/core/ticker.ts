import { setText } from './dom';
import { elapsedMs, duration, remaining } from './times';

/** One timer for all counters. It runs only while a counter is visible. */

const PERIOD = 1000;

interface TickerEntry {
  tick: () => void;
  visible: boolean;
}

const entries = new Map<Element, TickerEntry>();
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
  if (entries.delete(node)) {
    observer?.unobserve(node);
    updateTimer();
  }
}

/** Stop all counters in a subtree. */
export function stopCountingIn(parent: Element): void {
  for (const node of [...entries.keys()]) {
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
  const existing = entries.get(node);
  if (existing) {
    existing.tick = tick;
    return;
  }
  observe();
  entries.set(node, { tick, visible: observer === null });
  observer?.observe(node);
  updateTimer();
}

function observe(): void {
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
  const entry = entries.get(node);
  if (entry) {
    entry.visible = visible;
    if (visible) {
      entry.tick();
    }
  }
}

function updateTimer(): void {
  const needed =
    document.visibilityState !== 'hidden' && [...entries.values()].some(entry => entry.visible);
  if (needed && timer === null) {
    tickAll();
    timer = setInterval(tickAll, PERIOD);
  } else if (!needed && timer !== null) {
    clearInterval(timer);
    timer = null;
  }
}

function tickAll(): void {
  for (const entry of entries.values()) {
    if (entry.visible) {
      entry.tick();
    }
  }
}
