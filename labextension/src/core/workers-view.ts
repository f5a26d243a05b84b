import type { Child } from './dom';
import { cls, el, setText, setVisible } from './dom';
import { formatCount } from './formatting';
import type { Host } from './host';
import { everyVisibleSecond, stopCounting } from './ticker';
import type { Health, Worker } from './types';
import { timeNode, ValueView } from './view-parts';

const MIN_PERIOD_MS = 3000;
/** How old the shown state may become: a worker that ends sends no event. */
const POLL_MS = 30_000;

/**
 * The workers of a shared store and the runs that wait for them, as one line with details.
 *
 * A server with a store of its own is the only worker: it is shown only while runs wait for its
 * kernels. The state is read while the line is visible, after changes of runs.
 */
export class WorkersView {
  readonly node: HTMLElement;
  private readonly line = el('p', { hidden: true });
  private readonly summary = el('summary', {});
  private readonly details: HTMLDetailsElement;
  private readonly list = new ValueView<Worker[]>(drawWorkers);
  private readonly unsubscribe: () => void;
  private isStale = true;
  private isReading = false;
  private readAt = -Infinity;
  private maxAgeMs = POLL_MS;

  /** @param host - reads the state of the workers, and sends changes of runs */
  constructor(private readonly host: Pick<Host, 'health' | 'onChange'>) {
    const attributes = {
      class: 'worker-list',
      role: 'group',
      'aria-label': 'Workers',
      tabindex: 0
    };
    const container = el('div', attributes, this.list.node);
    this.details = el('details', { hidden: true }, this.summary, container);
    this.node = el('div', { class: 'workers' }, this.line, this.details);
    this.unsubscribe = host.onChange(() => {
      this.isStale = true;
    });
    everyVisibleSecond(this.node, () => this.tick());
  }

  /** Remove the view. */
  dispose(): void {
    this.unsubscribe();
    stopCounting(this.node);
    this.node.remove();
  }

  private tick(): void {
    const age = performance.now() - this.readAt;
    if (!this.isReading && age >= (this.isStale ? MIN_PERIOD_MS : this.maxAgeMs)) {
      void this.read();
    }
  }

  /** Read the state and show it. After an error nothing is shown: the list shows the error. */
  private async read(): Promise<void> {
    this.isReading = true;
    this.isStale = false;
    try {
      this.show(await this.host.health());
    } catch {
      this.maxAgeMs = POLL_MS;
      setVisible(this.line, false);
      setVisible(this.details, false);
    }
    this.readAt = performance.now();
    this.isReading = false;
  }

  private show(health: Health): void {
    const text = withoutBreaks(workersText(health));
    const shared = isShared(health);
    this.maxAgeMs = shared ? POLL_MS : Infinity;
    setText(this.line, shared ? '' : text);
    setText(this.summary, shared ? text : '');
    this.summary.classList.toggle(cls('warning'), health.workers.length === 0 && health.queued > 0);
    this.list.update(shared ? health.workers : null);
    setVisible(this.line, !shared && text !== '');
    setVisible(this.details, shared);
  }
}

/**
 * Return what the workers do and how many runs wait for them, such as `3 workers, 2 of 12 kernels
 * busy, 5 runs queued`.
 *
 * The text is empty if the server executes all its runs by itself, and none waits for a kernel.
 */
export function workersText(health: Health): string {
  const { workers, queued } = health;
  const busy = total(workers, 'busy');
  const kernels = total(workers, 'kernels');
  const kernelsText = busyOf(busy, kernels);
  const queuedText = `${formatCount(queued, 'run')} queued`;
  if (!isShared(health)) {
    return queued > 0 && busy >= kernels ? `${kernelsText}, ${queuedText}` : '';
  }
  if (workers.length === 0) {
    return queued > 0
      ? `No worker: ${formatCount(queued, 'queued run')} ${waits(queued)}`
      : 'No worker';
  }
  const parts = [formatCount(workers.length, 'worker'), kernelsText, queued > 0 && queuedText];
  return parts.filter(Boolean).join(', ');
}

function isShared(health: Health): boolean {
  return health.store === 'postgresql';
}

function total(workers: Worker[], property: 'busy' | 'kernels'): number {
  return workers.reduce((sum, worker) => sum + worker[property], 0);
}

function waits(count: number): string {
  return count === 1 ? 'waits' : 'wait';
}

function drawWorkers(workers: Worker[], node: HTMLElement): void {
  const hint = el('p', {}, 'Start a worker with ', el('code', {}, 'jupyter pdflow worker'), '.');
  node.append(workers.length === 0 ? hint : el('ul', { role: 'list' }, ...workers.map(workerNode)));
}

function workerNode({ name, host, queues, kernels, busy, seen_at: seen }: Worker): HTMLElement {
  const queueText = `${queues.length === 1 ? 'queue' : 'queues'} ${queues.join(', ')}`;
  return el(
    'li',
    {},
    el('p', {}, el('span', { class: 'worker-name' }, name), ' ', fact(`on ${host}`)),
    el('p', {}, queueText),
    el('p', {}, fact(`${busyOf(busy, kernels)},`), ' ', fact('seen ', timeNode(seen)))
  );
}

function busyOf(busy: number, kernels: number): string {
  return `${busy.toLocaleString()} of ${formatCount(kernels, 'kernel')} busy`;
}

/** Return an element that is moved to the next line as a whole, if it has the space there. */
function fact(...children: Child[]): HTMLElement {
  return el('span', { class: 'worker-fact' }, ...children);
}

/** Return a text whose lines break only after a comma or a colon. */
function withoutBreaks(text: string): string {
  return text.replace(/([^,:]) /g, '$1\u00a0');
}
