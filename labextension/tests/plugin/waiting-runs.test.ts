import { describe, expect, it } from 'vitest';
import type { ChangeListener, RunQuery } from '../../src/core/host';
import type { Run, RunChange, RunItem } from '../../src/core/types';
import { WaitingRuns } from '../../src/plugin/waiting-runs';

const DEADLINE = '2026-12-01T10:00:00.000Z';

function paused(id: string, kind = 'suspend', title: string | null = null): RunItem {
  const pause = { kind, step: 'ask', deadline: DEADLINE, approvers: ['ada'] };
  return { id, title, workflow_name: 'approval', status: 'paused', pause } as RunItem;
}

function change(id: string, more: Partial<RunChange> = {}): RunChange {
  return {
    run_id: id,
    workflow_id: 'approval',
    workflow_name: 'approval',
    status: 'paused',
    step: 'ask',
    pause_kind: 'suspend',
    deadline: DEADLINE,
    updated_at: DEADLINE,
    ...more
  };
}

/** A host whose runs the test controls. */
class FakeRunsHost {
  items: RunItem[] = [];
  listener: ChangeListener = () => undefined;
  readonly get = (id: string): Promise<Run> => {
    const found = this.items.find(run => run.id === id);
    return found ? Promise.resolve(found as Run) : Promise.reject(new Error('gone'));
  };
  readonly list = ({ limit = 50, before }: RunQuery): Promise<RunItem[]> => {
    const from = before === undefined ? 0 : this.items.findIndex(run => run.id === before) + 1;
    return Promise.resolve(this.items.slice(from, from + limit));
  };
  readonly onChange = (listener: ChangeListener): (() => void) => {
    this.listener = listener;
    return () => (this.listener = () => undefined);
  };
}

interface Observed {
  host: FakeRunsHost;
  waiting: WaitingRuns;
  began: string[];
  ended: string[];
}

async function loaded(...items: RunItem[]): Promise<Observed> {
  const host = new FakeRunsHost();
  host.items = items;
  const waiting = new WaitingRuns(host);
  const observed: Observed = { host, waiting, began: [], ended: [] };
  waiting.waitStarted.connect((_, { id, title }) => {
    observed.began.push(title === null ? id : `${id}: ${title}`);
  });
  waiting.waitEnded.connect((_, run) => void observed.ended.push(run.id));
  await waiting.refresh();
  return observed;
}

/** Wait until the reads that have begun have ended. */
function settled(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve));
}

describe('WaitingRuns', () => {
  it('counts the runs that wait for a person, and emits nothing for those of the first read', async () => {
    const { waiting, began } = await loaded(paused('b'), paused('a'), paused('c', 'delay'));
    expect(waiting.count).toBe('2');
    expect(waiting.latest?.id).toBe('b');
    expect(began).toEqual([]);
  });

  it('counts by pages, and adds a plus sign if there are more', async () => {
    const many = Array.from({ length: 2100 }, (_, number) => paused(`run-${9999 - number}`));
    expect((await loaded(...many)).waiting.count).toBe('2000+');
    expect((await loaded(...many.slice(0, 1200))).waiting.count).toBe('1200');
  });

  it('follows changes, and emits once for each pause', async () => {
    const { host, waiting, began, ended } = await loaded();
    host.listener(change('a'));
    host.listener(change('a'));
    expect(waiting.count).toBe('1');
    await settled();
    expect(began).toEqual(['a']);
    host.listener(change('a', { status: 'running', pause_kind: null, deadline: null }));
    expect(waiting.hasAny).toBe(false);
    host.listener(change('a', { deadline: '2026-12-02T10:00:00Z' }));
    await settled();
    expect(began).toEqual(['a', 'a']);
    expect(ended).toEqual(['a']);
  });

  it('treats two notations of the same deadline as equal', async () => {
    const { host, began } = await loaded(paused('a'));
    host.listener(change('a', { deadline: '2026-12-01T10:00:00+00:00' }));
    await settled();
    expect(began).toEqual([]);
  });

  it('reads the titles of runs and who is asked before it emits', async () => {
    const { host, waiting, began } = await loaded(paused('a', 'suspend', 'Invoice 1'));
    host.items.push(paused('b', 'suspend', 'Invoice 2'));
    host.listener(change('b'));
    expect([waiting.count, began]).toEqual(['2', []]);
    await settled();
    expect(began).toEqual(['b: Invoice 2']);
    expect(waiting.titles).toEqual(['Invoice 2', 'Invoice 1']);
    expect(waiting.latest?.approvers).toEqual(['ada']);
    host.listener(change('b'));
    expect(waiting.latest?.title).toBe('Invoice 2');
  });

  it('does not emit a wait that has ended before the run was read', async () => {
    const { host, waiting, began, ended } = await loaded();
    host.listener(change('a'));
    host.listener(change('a', { status: 'running', pause_kind: null, deadline: null }));
    await settled();
    expect([began, ended, waiting.titles]).toEqual([[], ['a'], []]);
  });

  it('reads the runs after a reconnect, and emits what began and ended meanwhile', async () => {
    const { host, waiting, began, ended } = await loaded(paused('a'));
    host.items = [paused('b')];
    const changed = new Promise<void>(resolve => void waiting.changed.connect(() => resolve()));
    host.listener(null);
    await changed;
    expect([began, ended]).toEqual([['b'], ['a']]);
  });
});
