import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { mount } from '../../../src/core/component';
import { runsView } from '../../../src/core/list/runs-view';
import { workersText, workersView } from '../../../src/core/list/workers-view';
import { LiveRuns } from '../../../src/core/live-runs';
import { isTicking } from '../../../src/core/ticker';
import type { Health } from '../../../src/core/types';
import { FakeHost, makeHealth, makeRun, makeWorker } from '../fake-host';
import { makeRoot, one, settle, shownText } from '../helpers';

type Callback = (entries: Partial<IntersectionObserverEntry>[]) => void;

/** Says of all observed elements that they are visible, or that none is. */
class FakeObserver {
  private static readonly all: FakeObserver[] = [];
  private static isVisible = true;
  private readonly targets = new Set<Element>();

  static setVisible(visible: boolean): void {
    FakeObserver.isVisible = visible;
    FakeObserver.all.forEach(observer => observer.notify());
  }

  constructor(private readonly callback: Callback) {
    FakeObserver.all.push(this);
  }

  observe(target: Element): void {
    this.targets.add(target);
    this.notify();
  }

  unobserve(target: Element): void {
    this.targets.delete(target);
  }

  private notify(): void {
    const isIntersecting = FakeObserver.isVisible;
    this.callback([...this.targets].map(target => ({ target, isIntersecting })));
  }
}

let root: HTMLElement;
let unmount: (() => void) | null = null;

vi.stubGlobal('IntersectionObserver', FakeObserver);

/** Return the state of a store that other servers use, too. */
function shared(props: Partial<Health>): Health {
  return makeHealth({ store: 'postgresql', ...props });
}

async function showWorkers(host: FakeHost, state: Health): Promise<void> {
  host.state = state;
  unmount = mount(root, workersView({ host }));
  await settle();
}

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-22T12:00:00Z') });
  root = makeRoot();
});

afterEach(() => {
  unmount?.();
  unmount = null;
  expect(isTicking()).toBe(false);
  FakeObserver.setVisible(true);
  vi.useRealTimers();
});

describe('the text', () => {
  const three = [makeWorker({ busy: 2 }), makeWorker(), makeWorker()];
  const single = makeWorker({ kernels: 1, busy: 1 });
  it.each<[string, Health]>([
    ['3 workers, 2 of 12 kernels busy, 5 runs queued', shared({ workers: three, queued: 5 })],
    ['1 worker, 1 of 1 kernel busy, 1 run queued', shared({ workers: [single], queued: 1 })],
    ['1 worker, 0 of 4 kernels busy', shared({})],
    ['No worker', shared({ workers: [] })],
    ['No worker: 1 queued run waits', shared({ workers: [], queued: 1 })],
    ['No worker: 2 queued runs wait', shared({ workers: [], queued: 2 })],
    ['1 of 1 kernel busy, 5 runs queued', makeHealth({ workers: [single], queued: 5 })],
    ['', makeHealth({ workers: [single] })],
    ['', makeHealth({ workers: three, queued: 1 })]
  ])('is "%s"', (text, health) => {
    expect(workersText(health)).toBe(text);
  });
});

describe('the view', () => {
  it('lists the workers of a shared store', async () => {
    const workers = [
      makeWorker({ name: 'anna', host: 'gpu-1', queues: ['default', 'gpu'], busy: 3 }),
      makeWorker({ name: 'bert', kernels: 1 })
    ];
    await showWorkers(new FakeHost(), shared({ workers }));
    expect(shownText(one(root, 'summary'))).toBe('2 workers, 3 of 5 kernels busy');
    const [anna, bert] = [...root.querySelectorAll('li')].map(shownText);
    expect(anna).toMatch(/^anna on gpu-1 queues default, gpu 3 of 4 kernels busy, seen \d\d:\d\d/);
    expect(bert).toMatch(/^bert on h queue default 0 of 1 kernel busy, seen/);
    expect(root.querySelector('.jp-PDFlow-warning')).toBeNull();
  });

  it('warns of runs that wait while there is no worker', async () => {
    const host = new FakeHost();
    await showWorkers(host, shared({ workers: [], queued: 1 }));
    expect(shownText(one(root, '.jp-PDFlow-warning'))).toBe('No worker: 1 queued run waits');
    expect(shownText(root)).toContain('Start a worker with jupyter pdflow worker');
    host.state = shared({});
    host.emit(null);
    await settle(4000);
    expect(root.querySelector('.jp-PDFlow-warning')).toBeNull();
  });

  it('shows the server’s own kernels only while runs wait for them', async () => {
    const host = new FakeHost();
    await showWorkers(host, makeHealth());
    expect(shownText(root)).toBe('');
    host.state = makeHealth({ workers: [makeWorker({ busy: 4 })], queued: 2 });
    host.emit(null);
    await settle(4000);
    expect(shownText(root)).toBe('4 of 4 kernels busy, 2 runs queued');
    expect(root.querySelector('details')).toBeNull();
  });

  it('keeps the details open when it is updated', async () => {
    const host = new FakeHost();
    await showWorkers(host, shared({}));
    const details = one<HTMLDetailsElement>(root, 'details');
    details.open = true;
    host.state = shared({ workers: [makeWorker({ busy: 1 })] });
    host.emit(null);
    await settle(4000);
    expect(details.open).toBe(true);
    expect(shownText(details)).toContain('1 of 4 kernels busy');
  });
});

describe('requests', () => {
  it('are sent once in a few seconds for many changes', async () => {
    const host = new FakeHost();
    await showWorkers(host, makeHealth());
    expect(host.callsOf('health')).toHaveLength(1);
    for (let at = 0; at < 60; at += 1) {
      host.change(makeRun('r1'));
      await settle(100);
    }
    expect(host.callsOf('health').length).toBeGreaterThan(1);
    expect(host.callsOf('health').length).toBeLessThanOrEqual(3);
  });

  it('are repeated without changes only for a shared store', async () => {
    const host = new FakeHost();
    await showWorkers(host, makeHealth());
    await settle(120_000);
    expect(host.callsOf('health')).toHaveLength(1);
    host.state = shared({});
    host.emit(null);
    await settle(4000);
    await settle(31_000);
    expect(host.callsOf('health')).toHaveLength(3);
  });

  it('are not sent while the view is hidden', async () => {
    FakeObserver.setVisible(false);
    const host = new FakeHost();
    await showWorkers(host, makeHealth());
    host.emit(null);
    await settle(60_000);
    expect(host.calls).toEqual([]);
    FakeObserver.setVisible(true);
    await settle();
    expect(host.callsOf('health')).toHaveLength(1);
    FakeObserver.setVisible(false);
    host.emit(null);
    await settle(60_000);
    expect(host.callsOf('health')).toHaveLength(1);
  });

  it('may fail: nothing is shown until the next one succeeds', async () => {
    const host = new FakeHost(makeRun('r1'));
    host.state = shared({});
    unmount = mount(root, runsView({ runs: new LiveRuns(host), footer: workersView({ host }) }));
    await settle();
    expect(shownText(root)).toContain('1 worker');
    host.errors.health = new Error('no');
    await settle(31_000);
    expect(shownText(root)).not.toContain('1 worker');
    expect(root.querySelector('[role=alert]')).toBeNull();
    expect(root.querySelectorAll('.jp-PDFlow-row')).toHaveLength(1);
    delete host.errors.health;
    await settle(31_000);
    expect(shownText(root)).toContain('1 worker');
    unmount();
    expect(host.listenerCount).toBe(0);
  });

  it('are not sent by a list of runs without workers', async () => {
    const host = new FakeHost();
    unmount = mount(root, runsView({ runs: new LiveRuns(host) }));
    await settle(4000);
    expect(host.callsOf('health')).toEqual([]);
  });
});
