import { describe, expect, it } from 'vitest';
import type { ChangeListener, RunQuery } from '../../src/core/host';
import type { RunChange, RunItem } from '../../src/core/types';
import { WaitingRuns } from '../../src/plugin/waiting-runs';

const DEADLINE = '2026-12-01T10:00:00.000Z';

function paused(id: string, kind = 'suspend'): RunItem {
  const pause = { kind, step: 'ask', deadline: DEADLINE };
  return { id, workflow_name: 'approval', status: 'paused', pause } as RunItem;
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

/** A server whose runs the test decides on. */
class Runs {
  items: RunItem[] = [];
  listener: ChangeListener = () => undefined;
  readonly list = ({ limit = 50, before }: RunQuery): Promise<RunItem[]> => {
    const from = before === undefined ? 0 : this.items.findIndex(run => run.id === before) + 1;
    return Promise.resolve(this.items.slice(from, from + limit));
  };
  readonly onChange = (listener: ChangeListener): (() => void) => {
    this.listener = listener;
    return () => (this.listener = () => undefined);
  };
}

interface Told {
  runs: Runs;
  waiting: WaitingRuns;
  began: string[];
  ended: string[];
}

async function loaded(...items: RunItem[]): Promise<Told> {
  const runs = new Runs();
  runs.items = items;
  const waiting = new WaitingRuns(runs);
  const told: Told = { runs, waiting, began: [], ended: [] };
  waiting.waitStarted.connect((_, run) => void told.began.push(run.id));
  waiting.waitEnded.connect((_, run) => void told.ended.push(run.id));
  await waiting.refresh();
  return told;
}

describe('WaitingRuns', () => {
  it('counts the runs that wait for a person, and tells of none found at the start', async () => {
    const { waiting, began } = await loaded(paused('b'), paused('a'), paused('c', 'delay'));
    expect(waiting.count).toBe('2');
    expect(waiting.latest?.id).toBe('b');
    expect(began).toEqual([]);
  });

  it('counts by pages, and says where there are more', async () => {
    const many = Array.from({ length: 2100 }, (_, number) => paused(`run-${9999 - number}`));
    expect((await loaded(...many)).waiting.count).toBe('2000+');
    expect((await loaded(...many.slice(0, 1200))).waiting.count).toBe('1200');
  });

  it('follows changes, telling once of each pause', async () => {
    const { runs, waiting, began, ended } = await loaded();
    runs.listener(change('a'));
    runs.listener(change('a'));
    expect(waiting.count).toBe('1');
    expect(began).toEqual(['a']);
    runs.listener(change('a', { status: 'running', pause_kind: null, deadline: null }));
    expect(waiting.hasAny).toBe(false);
    runs.listener(change('a', { deadline: '2026-12-02T10:00:00Z' }));
    expect(began).toEqual(['a', 'a']);
    expect(ended).toEqual(['a']);
  });

  it('is not taken in by another spelling of the same deadline', async () => {
    const { runs, began } = await loaded(paused('a'));
    runs.listener(change('a', { deadline: '2026-12-01T10:00:00+00:00' }));
    expect(began).toEqual([]);
  });

  it('asks anew after a reconnect, and tells of what began and ended meanwhile', async () => {
    const { runs, waiting, began, ended } = await loaded(paused('a'));
    runs.items = [paused('b')];
    const changed = new Promise<void>(resolve => void waiting.changed.connect(() => resolve()));
    runs.listener(null);
    await changed;
    expect([began, ended]).toEqual([['b'], ['a']]);
  });
});
