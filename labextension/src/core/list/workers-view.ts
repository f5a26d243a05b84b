import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { Component } from '../component';
import { formatCount } from '../formatting';
import type { Host } from '../host';
import { time, whileVisible } from '../parts';
import type { Health, Worker } from '../types';

const MIN_PERIOD_MS = 3000;
/** How old the shown state may become: a worker that ends sends no event. */
const POLL_MS = 30_000;

/** The properties of {@link workersView}. */
export interface WorkersViewProps {
  /** Reads the state of the workers, and sends changes of runs. */
  host: Pick<Host, 'health' | 'onChange'>;
}

class WorkersView extends Component<WorkersViewProps> {
  private health: Health | null = null;
  private unsubscribe: (() => void) | null = null;
  private isStale = true;
  private isReading = false;
  private readAt = -Infinity;
  private maxAgeMs = POLL_MS;

  protected override start(): void {
    this.unsubscribe = this.props.host.onChange(() => (this.isStale = true));
  }

  protected override stop(): void {
    this.unsubscribe?.();
  }

  protected template(): unknown {
    return html`<div class="jp-PDFlow-workers" ${whileVisible(this.tick)}>
      ${this.health === null ? nothing : workers(this.health)}
    </div>`;
  }

  private readonly tick = (): void => {
    const age = performance.now() - this.readAt;
    if (!this.isReading && age >= (this.isStale ? MIN_PERIOD_MS : this.maxAgeMs)) {
      void this.read();
    }
  };

  /** Read the state and show it. After an error nothing is shown: the list shows the error. */
  private async read(): Promise<void> {
    this.isReading = true;
    this.isStale = false;
    try {
      this.health = await this.props.host.health();
      this.maxAgeMs = isShared(this.health) ? POLL_MS : Infinity;
    } catch {
      this.health = null;
      this.maxAgeMs = POLL_MS;
    }
    this.readAt = performance.now();
    this.isReading = false;
    this.requestUpdate();
  }
}

/**
 * The workers of a shared store and the runs that wait for them, as one line with details.
 *
 * A server with a store of its own is the only worker: it is shown only while runs wait for its
 * kernels. The state is read while the line is visible, after changes of runs.
 */
export const workersView = directive(WorkersView);

/**
 * Return what the workers do and how many runs wait for them, such as `3 workers, 2 of 12 kernels
 * busy, 5 runs queued`.
 *
 * The text is empty if the server executes all its runs by itself, and none waits for a kernel.
 */
export function workersText(health: Health): string {
  const { workers: all, queued } = health;
  const busy = total(all, 'busy');
  const kernels = total(all, 'kernels');
  const kernelsText = busyOf(busy, kernels);
  const queuedText = `${formatCount(queued, 'run')} queued`;
  if (!isShared(health)) {
    return queued > 0 && busy >= kernels ? `${kernelsText}, ${queuedText}` : '';
  }
  if (all.length === 0) {
    return queued > 0
      ? `No worker: ${formatCount(queued, 'queued run')} ${queued === 1 ? 'waits' : 'wait'}`
      : 'No worker';
  }
  const parts = [formatCount(all.length, 'worker'), kernelsText, queued > 0 && queuedText];
  return parts.filter(Boolean).join(', ');
}

function isShared(health: Health): boolean {
  return health.store === 'postgresql';
}

function total(all: Worker[], property: 'busy' | 'kernels'): number {
  return all.reduce((sum, worker) => sum + worker[property], 0);
}

function workers(health: Health): unknown {
  const text = withoutBreaks(workersText(health));
  if (!isShared(health)) {
    return text === '' ? nothing : html`<p>${text}</p>`;
  }
  const isWarning = health.workers.length === 0 && health.queued > 0;
  return html`<details>
    <summary class=${isWarning ? 'jp-PDFlow-warning' : nothing}>${text}</summary>
    <div class="jp-PDFlow-worker-list" role="group" aria-label="Workers" tabindex="0">
      ${workerList(health.workers)}
    </div>
  </details>`;
}

function workerList(all: Worker[]): TemplateResult {
  return all.length === 0
    ? html`<p>Start a worker with <code>jupyter pdflow worker</code>.</p>`
    : html`<ul role="list">
        ${all.map(workerItem)}
      </ul>`;
}

function workerItem({ name, host, queues, kernels, busy, seen_at }: Worker): TemplateResult {
  const queueText = `${queues.length === 1 ? 'queue' : 'queues'} ${queues.join(', ')}`;
  return html`<li>
    <p><span class="jp-PDFlow-worker-name">${name}</span> ${fact(`on ${host}`)}</p>
    <p>${queueText}</p>
    <p>${fact(`${busyOf(busy, kernels)},`)} ${fact(html`seen ${time(seen_at)}`)}</p>
  </li>`;
}

function busyOf(busy: number, kernels: number): string {
  return `${busy.toLocaleString()} of ${formatCount(kernels, 'kernel')} busy`;
}

/** Return an element that is moved to the next line as a whole, if it has the space there. */
function fact(content: unknown): TemplateResult {
  return html`<span class="jp-PDFlow-worker-fact">${content}</span>`;
}

/** Return a text whose lines break only after a comma or a colon. */
function withoutBreaks(text: string): string {
  return text.replace(/([^,:]) /g, '$1\u00a0');
}
