import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LiveRuns } from '../../src/core/live-runs';
import { WaitingRuns } from '../../src/plugin/waiting-runs';
import type { RunProps } from '../core/fake-host';
import { FakeHost, makePause, makeRun, makeWaiting } from '../core/fake-host';
import { settle } from '../core/helpers';
import type { Run } from '../../src/core/types';

interface Observed {
  host: FakeHost;
  waiting: WaitingRuns;
  began: string[];
  ended: string[];
}

async function loaded(...runs: Run[]): Promise<Observed> {
  const host = new FakeHost(...runs);
  const waiting = new WaitingRuns(new LiveRuns(host));
  const observed: Observed = { host, waiting, began: [], ended: [] };
  waiting.waitStarted.connect((_, { id, title }) => {
    observed.began.push(title === null ? id : `${id}: ${title}`);
  });
  waiting.waitEnded.connect((_, run) => void observed.ended.push(run.id));
  await settle();
  return observed;
}

function delayed(id: string): Run {
  return makeRun(id, { status: 'paused', pause: makePause('delay', 'ask') });
}

function asking(id: string, props: RunProps = {}): Run {
  return makeWaiting(id, { pause: makePause('suspend', 'ask', { approvers: ['ada'] }), ...props });
}

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-22T12:00:00Z') });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('WaitingRuns', () => {
  it('counts the runs that wait for a person, and emits nothing for those of the first read', async () => {
    const { waiting, began } = await loaded(makeWaiting('b'), makeWaiting('a'), delayed('c'));
    expect(waiting.count).toBe('2');
    expect(waiting.latest?.id).toBe('b');
    expect(began).toEqual([]);
  });

  it('counts by pages, and adds a plus sign if there are more', async () => {
    const many = Array.from({ length: 2100 }, (_, number) => makeWaiting(`run-${1000 + number}`));
    const { waiting, host } = await loaded(...many);
    expect(waiting.count).toBe('2000+');
    expect(host.callsOf('list')).toHaveLength(4);
    expect((await loaded(...many.slice(0, 1200))).waiting.count).toBe('1200');
  });

  it('follows changes, and emits once for each pause', async () => {
    const { host, waiting, began, ended } = await loaded();
    host.change(makeWaiting('a'));
    host.change(makeWaiting('a'));
    await settle();
    expect([waiting.count, began]).toEqual(['1', ['a']]);
    host.change(makeRun('a'));
    expect(waiting.hasAny).toBe(false);
    await settle();
    host.change(makeWaiting('a'));
    await settle();
    expect(began).toEqual(['a', 'a']);
    expect(ended).toEqual(['a']);
  });

  it('emits for another pause of a run that waits', async () => {
    const { host, began, ended } = await loaded(makeWaiting('a'));
    await settle(5000);
    host.change(makeWaiting('a'));
    await settle();
    expect([began, ended]).toEqual([['a'], ['a']]);
  });

  it('treats two notations of the same deadline as equal', async () => {
    const at = (deadline: string): Run =>
      makeWaiting('a', { pause: makePause('suspend', 'ask', { deadline }) });
    const { host, began } = await loaded(at('2026-12-01T10:00:00Z'));
    host.change(at('2026-12-01T10:00:00+00:00'));
    await settle();
    expect(began).toEqual([]);
  });

  it('knows the titles of runs and who is asked before it emits', async () => {
    const { host, waiting, began } = await loaded(asking('a', { title: 'Invoice 1' }));
    host.change(asking('b', { title: 'Invoice 2' }));
    await settle();
    expect(began).toEqual(['b: Invoice 2']);
    expect(waiting.titles).toEqual(['Invoice 2', 'Invoice 1']);
    expect(waiting.latest?.approvers).toEqual(['ada']);
  });

  it('does not emit a wait that has ended before the run was read', async () => {
    const { host, waiting, began, ended } = await loaded();
    host.change(makeWaiting('a'));
    host.change(makeRun('a'));
    await settle();
    expect([began, ended, waiting.titles]).toEqual([[], [], []]);
  });

  it('reads no run that does not wait', async () => {
    const { host } = await loaded(makeWaiting('a'));
    host.change(makeRun('b'));
    host.change(delayed('c'));
    host.change(makeRun('a'));
    await settle();
    expect(host.callsOf('get')).toEqual([]);
  });

  it('reads the runs after a reconnect, and emits what began and ended meanwhile', async () => {
    const { host, began, ended } = await loaded(makeWaiting('a'), makeWaiting('c'));
    host.runs.delete('a');
    host.runs.set('b', makeWaiting('b'));
    host.emit(null);
    await settle();
    expect([began, ended]).toEqual([['b'], ['a']]);
  });

  it('does not emit for what it reads once the server answers', async () => {
    const host = new FakeHost(makeWaiting('a'));
    host.errors.list = new Error('no');
    const waiting = new WaitingRuns(new LiveRuns(host));
    const began: string[] = [];
    waiting.waitStarted.connect((_, run) => void began.push(run.id));
    await settle();
    delete host.errors.list;
    host.emit(null);
    await settle();
    expect([waiting.count, began]).toEqual(['1', []]);
    waiting.dispose();
    expect(host.listenerCount).toBe(0);
  });
});
