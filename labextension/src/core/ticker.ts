import { setText } from './dom';
import { between, duration, remaining } from './times';

/** One timer for all that counts; it runs only while something that is counted is visible. */

const PERIOD = 1000;

interface Count {
  tick: () => void;
  visible: boolean;
}

const counts = new Map<Element, Count>();
let timer: ReturnType<typeof setInterval> | null = null;
let observer: IntersectionObserver | null = null;
let listening = false;

/** Count the time down to a deadline in a node's text; `sooner` is said when it has passed. */
export function countdown(node: Element, deadline: string, sooner = 'due now'): void {
  const until = Date.parse(deadline);
  everySecond(node, () => {
    const left = until - Date.now();
    setText(node, left > 0 ? remaining(left) : sooner);
  });
}

/** Count the time since an instant up in a node's text. */
export function countUp(node: Element, since: string): void {
  everySecond(node, () => setText(node, duration(Math.floor(between(since, null) / 1000) * 1000)));
}

/** Stop counting in a node. */
export function stopCounting(node: Element): void {
  if (counts.delete(node)) {
    observer?.unobserve(node);
    adjust();
  }
}

/** Stop counting in all nodes of a subtree. */
export function stopCountingIn(parent: Element): void {
  for (const node of [...counts.keys()]) {
    if (parent.contains(node)) {
      stopCounting(node);
    }
  }
}

/** Whether the timer runs. */
export function isTicking(): boolean {
  return timer !== null;
}

/** Call back now, and each second while a node is visible, until {@link stopCounting}. */
export function everySecond(node: Element, tick: () => void): void {
  tick();
  const known = counts.get(node);
  if (known) {
    known.tick = tick;
    return;
  }
  watch();
  counts.set(node, { tick, visible: observer === null });
  observer?.observe(node);
  adjust();
}

function watch(): void {
  if (observer === null && typeof IntersectionObserver !== 'undefined') {
    observer = new IntersectionObserver(entries => {
      for (const entry of entries) {
        seen(entry.target, entry.isIntersecting);
      }
      adjust();
    });
  }
  if (!listening) {
    listening = true;
    document.addEventListener('visibilitychange', adjust);
  }
}

function seen(node: Element, visible: boolean): void {
  const found = counts.get(node);
  if (found) {
    found.visible = visible;
    if (visible) {
      found.tick();
    }
  }
}

function adjust(): void {
  const needed =
    document.visibilityState !== 'hidden' && [...counts.values()].some(found => found.visible);
  if (needed && timer === null) {
    tickAll();
    timer = setInterval(tickAll, PERIOD);
  } else if (!needed && timer !== null) {
    clearInterval(timer);
    timer = null;
  }
}

function tickAll(): void {
  for (const found of counts.values()) {
    if (found.visible) {
      found.tick();
    }
  }
}
