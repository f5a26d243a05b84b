import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ALL_RUNS } from '../../src/core/filter';
import { LiveRuns } from '../../src/core/live-runs';
import { changeOf, FakeHost, makePause, makeRun, makeWaiting } from './fake-host';
import { settle } from './helpers';

const nothing = (): void => undefined;

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-22T12:00:00Z') });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('LiveRuns', () => {
  it('reads a changed run once for all lists and views', async () => {
    const host = new FakeHost(makeRun('run-1'), makeWaiting('run-2'));
    const runs = new LiveRuns(host);
    const list = runs.list(ALL_RUNS, 50, nothing);
    const waiting = runs.list({ ...ALL_RUNS, status: 'waiting' }, 50, nothing);
    const watch = runs.watch('run-2', nothing);
    await settle();
    expect([list.size, waiting.size, watch.run?.status]).toEqual([2, 1, 'paused']);
    const before = host.callsOf('get').length;
    host.change({ ...makeRun('run-2'), status: 'succeeded' });
    await settle();
    expect(host.callsOf('get').length - before).toBe(1);
    expect([list.size, waiting.size, watch.run?.status]).toEqual([2, 0, 'succeeded']);
    [list, waiting, watch].forEach(each => each.dispose());
    expect(host.listenerCount).toBe(0);
  });

  it('reads pages if many runs have changed', async () => {
    const made = Array.from({ length: 30 }, (_, n) => makeRun(`run-${100 + n}`));
    const host = new FakeHost(...made);
    const runs = new LiveRuns(host);
    const list = runs.list(ALL_RUNS, 50, nothing);
    await settle();
    made.forEach(run => host.change({ ...run, status: 'failed' }));
    await settle();
    expect(host.callsOf('get')).toEqual([]);
    expect(list.groups.ended.length).toBe(30);
    list.dispose();
  });

  it('finds active runs among many that wait for a person', async () => {
    const waiting = Array.from({ length: 320 }, (_, n) => makeWaiting(`run-${1000 + n}`));
    const pause = makePause('retry', 'ask');
    const host = new FakeHost(makeRun('run-0', { status: 'paused', pause }), ...waiting);
    const list = new LiveRuns(host).list({ ...ALL_RUNS, status: 'active' }, 50, nothing);
    await settle();
    expect([list.size, list.more.active]).toEqual([0, true]);
    await list.loadMore('active');
    expect(list.items.map(run => run.id)).toEqual(['run-0']);
    list.dispose();
  });

  it('reads no run that does not match a list', async () => {
    const host = new FakeHost();
    const runs = new LiveRuns(host);
    const list = runs.list({ ...ALL_RUNS, status: 'failed' }, 50, nothing);
    await settle();
    host.change(makeRun('run-1'));
    host.change({ ...makeRun('run-2'), status: 'failed' });
    await settle();
    expect(host.callsOf('get')).toEqual(['get run-2']);
    list.dispose();
  });

  it('follows the latest run of a workflow', async () => {
    const host = new FakeHost(makeRun('run-1'));
    const runs = new LiveRuns(host);
    const latest = runs.watchLatest('notebooks-approve-invoice', nothing);
    await settle();
    expect(latest.run?.id).toBe('run-1');
    host.change(makeRun('run-2'));
    host.change(makeRun('run-0'));
    await settle();
    expect(latest.run?.id).toBe('run-2');
    latest.dispose();
    expect(host.listenerCount).toBe(0);
  });

  it('finds runs by their events on the server, and by their steps here', async () => {
    const host = new FakeHost(makeRun('run-1'), makeRun('run-2', { workflow_name: 'other' }));
    host.words.set('run-1', 'acme');
    const runs = new LiveRuns(host);
    const list = runs.list(ALL_RUNS, 50, nothing);
    await settle();
    list.setFilter({ ...ALL_RUNS, text: 'acme' });
    await settle();
    expect(list.items.map(run => run.id)).toEqual(['run-1']);
    list.setFilter({ ...ALL_RUNS, text: 'other' });
    expect(list.items.map(run => run.id)).toEqual(['run-2']);
    host.runs.set('run-3', makeRun('run-3'));
    host.words.set('run-3', 'other');
    host.emit(changeOf(makeRun('run-3')));
    await settle(1000);
    expect(list.items.map(run => run.id)).toEqual(['run-3', 'run-2']);
    list.dispose();
  });
});
