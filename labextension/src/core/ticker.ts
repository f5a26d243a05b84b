/** Functions that are called each second, by one timer that runs only while one of their elements is visible. */

const PERIOD_MS = 1000;

interface Counter {
  tick: () => void;
  visible: boolean;
}

const counters = new Map<Element, Counter>();
let timer: ReturnType<typeof setInterval> | null = null;
let observer: IntersectionObserver | null = null;
let listening = false;

/** Stop the counter of a node. */
export function stopCounting(node: Element): void {
  if (counters.delete(node)) {
    observer?.unobserve(node);
    updateTimer();
  }
}

/** Return whether the timer is running. */
export function isTicking(): boolean {
  return timer !== null;
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
