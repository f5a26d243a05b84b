import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ApiError } from '../../src/core/host';
import type { RunsViewOptions } from '../../src/core/runs-view';
import { RunsView } from '../../src/core/runs-view';
import { isTicking } from '../../src/core/ticker';
import { changeOf, FakeHost, makeError, makePause, makeRun, makeWaiting } from './fake-host';
import { buttonOf, choose, makeRoot, one, settle, shownText, type } from './helpers';

let root: HTMLElement;
let view: RunsView | null = null;

async function showRuns(host: FakeHost, options: RunsViewOptions = {}): Promise<void> {
  view = new RunsView(root, host, options);
  await settle();
}

function rows(): HTMLElement[] {
  return [...root.querySelectorAll<HTMLElement>('.jp-PDFlow-row')];
}

function ids(): (string | undefined)[] {
  return rows().map(row => row.dataset.run);
}

function row(id: string): HTMLElement {
  return one(root, `[data-run="${id}"]`);
}

function check(...wanted: string[]): void {
  wanted.forEach(id => one(row(id), 'input').click());
}

function search(text: string): void {
  type(one<HTMLInputElement>(root, 'input[type=search]'), text);
}

function selectOf(name: string): HTMLSelectElement {
  return one<HTMLSelectElement>(root, `select[aria-label=${name}]`);
}

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-22T12:00:00Z') });
  root = makeRoot();
});

afterEach(() => {
  view?.dispose();
  view = null;
  expect(isTicking()).toBe(false);
  vi.useRealTimers();
});

describe('the list', () => {
  it('shows waiting runs first, then active runs, then ended runs', async () => {
    const end = (at: string): { status: 'succeeded'; updated_at: string } => ({
      status: 'succeeded',
      updated_at: `2026-11-22T11:${at}:00Z`
    });
    const soon = makePause('suspend', 'ask', { deadline: '2026-11-22T12:01:00Z' });
    const host = new FakeHost(
      makeRun('r1', end('10')),
      makeWaiting('r2'),
      makeRun('r3', { status: 'queued' }),
      makeRun('r4'),
      makeRun('r5', { status: 'paused', pause: makePause('delay', 'ask') }),
      makeWaiting('r6', { pause: soon }),
      makeRun('r7', end('05'))
    );
    await showRuns(host);
    expect(ids()).toEqual(['r6', 'r2', 'r5', 'r4', 'r3', 'r1', 'r7']);
    expect(one(root, '.jp-PDFlow-summary').textContent).toBe('2 waiting for a person · 3 active');
  });

  it('shows the state of each run', async () => {
    const failed = makeRun('r2', { status: 'failed', error: makeError('pay') });
    await showRuns(new FakeHost(makeWaiting('r1', { title: 'Invoice 17' }), failed));
    expect(shownText(row('r1'))).toMatch(
      /Waiting approve-invoice step ask Invoice 17 since .* time runs out in 1 h 1 credit$/
    );
    expect(shownText(row('r2'))).toMatch(/Failed .* step pay ended .* KeyError: no such customer$/);
  });

  it('counts down while a run waits', async () => {
    const deadline = '2026-11-22T12:00:10Z';
    const host = new FakeHost(
      makeWaiting('r1', { pause: makePause('suspend', 'ask', { deadline }) })
    );
    await showRuns(host);
    expect(one(row('r1'), '.jp-PDFlow-countdown').textContent).toBe('10 s');
    await settle(4000);
    expect(one(row('r1'), '.jp-PDFlow-countdown').textContent).toBe('6 s');
    await settle(9000);
    expect(one(row('r1'), '.jp-PDFlow-countdown').textContent).toBe('due now');
    expect(isTicking()).toBe(true);
    await host.resume('r1', null);
    await settle();
    expect(isTicking()).toBe(false);
  });

  it('shows how to start if there are no runs', async () => {
    await showRuns(new FakeHost());
    expect(root.textContent).toMatch(/No runs yet\. Open a notebook/);
    expect(root.querySelector('.jp-PDFlow-more:not([hidden])')).toBeNull();
  });

  it('shows that it loads, shows an error, and tries again', async () => {
    const host = new FakeHost(makeRun('r1'));
    host.errors.list = new ApiError('x', 'network', 0);
    view = new RunsView(root, host);
    expect(root.textContent).toContain('Loading…');
    await settle();
    expect(one(root, '[role=alert]').textContent).toMatch(/does not answer/);
    delete host.errors.list;
    buttonOf(root, 'Try again').click();
    await settle();
    expect(ids()).toEqual(['r1']);
    expect(root.querySelector('[role=alert]')).toBeNull();
  });

  it('keeps its rows while the server does not answer', async () => {
    const host = new FakeHost(makeRun('r1'));
    await showRuns(host);
    host.errors.list = new ApiError('x', 'network', 0);
    host.emit(null);
    await settle();
    expect(ids()).toEqual(['r1']);
    expect(one(root, '[role=alert]').textContent).toMatch(/out of date/);
  });

  it('moves the focus between rows with the arrow keys', async () => {
    await showRuns(new FakeHost(makeRun('r1'), makeRun('r2')));
    const openers = rows().map(each => one(each, 'button'));
    openers[0]?.focus();
    const press = (key: string): boolean | undefined =>
      document.activeElement?.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    press('ArrowDown');
    expect(document.activeElement).toBe(openers[1]);
    press('ArrowDown');
    expect(document.activeElement).toBe(openers[1]);
    press('Home');
    expect(document.activeElement).toBe(openers[0]);
  });
});

describe('filters, search and pages', () => {
  it('requests the runs of a status and a workflow', async () => {
    const other = makeRun('r2', { workflow_name: 'report' });
    const host = new FakeHost(makeWaiting('r1'), other, makeRun('r3', { status: 'failed' }));
    await showRuns(host);
    choose(selectOf('Status'), 'failed');
    await settle();
    expect(ids()).toEqual(['r3']);
    choose(selectOf('Status'), 'waiting');
    await settle();
    expect(ids()).toEqual(['r1']);
    choose(selectOf('Status'), '');
    const names = [...selectOf('Workflow').options].map(option => option.text);
    expect(names).toEqual(['All workflows', 'approve-invoice', 'report']);
    choose(selectOf('Workflow'), 'notebooks-report');
    await settle();
    expect(ids()).toEqual(['r2']);
    expect(host.callsOf('list').at(-1)).toContain('"workflow":"notebooks-report"');
  });

  it('shows the runs of a fixed workflow', async () => {
    await showRuns(new FakeHost(makeRun('r1'), makeRun('r2', { workflow_name: 'report' })), {
      workflow: 'notebooks-report'
    });
    expect(ids()).toEqual(['r2']);
    expect(selectOf('Workflow').hidden).toBe(true);
  });

  it('starts with a status, removes a run that leaves it, and shows all on request', async () => {
    const host = new FakeHost(makeWaiting('r1'), makeWaiting('r2'), makeRun('r3'));
    await showRuns(host, { status: 'paused' });
    expect(ids()).toEqual(['r2', 'r1']);
    expect(selectOf('Status').value).toBe('paused');
    await host.resume('r1', null);
    await host.resume('r2', null);
    await settle();
    expect(ids()).toEqual([]);
    buttonOf(root, 'Show all').click();
    await settle();
    expect(ids()).toHaveLength(3);
  });

  it('searches title, workflow, run, step and error', async () => {
    const failed = makeRun('r2', { status: 'failed', error: makeError('pay', 'odd sum') });
    const titled = makeRun('r1', { workflow_name: 'report', title: 'March' });
    await showRuns(new FakeHost(titled, failed));
    for (const [text, found] of [
      ['REPORT', ['r1']],
      ['march', ['r1']],
      ['r2', ['r2']],
      ['pay odd', ['r2']],
      ['nothing of it', []]
    ] as const) {
      search(text);
      await settle();
      expect(ids()).toEqual(found);
    }
    expect(root.textContent).toContain('No runs match.');
    buttonOf(root, 'Show all').click();
    await settle();
    expect(ids()).toHaveLength(2);
  });

  it('finds an old run by its id', async () => {
    const old = makeRun('01JAAAAAAAAAAAAAAA', { status: 'succeeded' });
    await showRuns(new FakeHost(old, ...many(60)));
    expect(ids()).not.toContain(old.id);
    search(old.id);
    await settle();
    expect(ids()).toEqual([old.id]);
  });

  it('loads 10,000 runs one page at a time', async () => {
    const host = new FakeHost(makeWaiting('01JA'), ...many(10_000));
    await showRuns(host);
    expect(rows()).toHaveLength(51);
    expect(ids()[0]).toBe('01JA');
    buttonOf(root, 'Show more').click();
    await settle();
    expect(rows()).toHaveLength(101);
    expect(host.callsOf('list').at(-1)).toContain('"before"');
    search('approve');
    await settle();
    buttonOf(root, 'Search older runs').click();
    await settle();
    expect(rows()).toHaveLength(601);
    expect(one(root, '.jp-PDFlow-summary').textContent).toContain('searched the newest 601 runs');
  });
});

describe('live changes', () => {
  it('reads only the run that changed, once for several changes', async () => {
    const host = new FakeHost(makeRun('r1'), makeRun('r2'));
    await showRuns(host);
    const kept = row('r2');
    host.calls.length = 0;
    host.change({ ...makeRun('r1'), status: 'queued' });
    host.change({ ...makeRun('r1'), status: 'failed', error: makeError('pay') });
    await settle();
    expect(host.calls).toEqual(['get r1']);
    expect(shownText(row('r1'))).toContain('KeyError');
    expect(row('r2')).toBe(kept);
  });

  it('keeps what was read about a pause until the run is read again', async () => {
    const pause = makePause('suspend', 'ask', { since: '2026-11-22T09:00:00Z' });
    const host = new FakeHost(makeWaiting('r1', { pause }));
    await showRuns(host);
    const before = one(row('r1'), 'time').textContent;
    host.errors.get = new ApiError('x', 'network', 0);
    host.change({ ...makeWaiting('r1'), pause });
    await settle();
    expect(one(row('r1'), 'time').textContent).toBe(before);
  });

  it('shows a new run, and removes a deleted one', async () => {
    const host = new FakeHost(makeRun('r1'));
    await showRuns(host);
    host.change(makeWaiting('r2'));
    await settle();
    expect(ids()).toEqual(['r2', 'r1']);
    host.emit(changeOf(makeRun('r1')));
    host.runs.delete('r1');
    await settle();
    expect(ids()).toEqual(['r2']);
  });

  it('reads the pages again after a reconnect, and if many runs have changed', async () => {
    const host = new FakeHost(makeRun('r1'), makeRun('r2'));
    await showRuns(host);
    host.runs.delete('r1');
    host.emit(null);
    await settle();
    expect(ids()).toEqual(['r2']);
    host.calls.length = 0;
    many(30).forEach(run => host.change(run));
    await settle();
    expect(host.callsOf('get')).toEqual([]);
    expect(rows()).toHaveLength(31);
  });

  it('keeps the focus on a run that moves to another group, and the text of the search', async () => {
    const host = new FakeHost(makeWaiting('r1'), makeRun('r2'));
    await showRuns(host);
    search('approve');
    const opener = one(row('r1'), 'button');
    opener.focus();
    host.change({ ...makeRun('r1'), status: 'succeeded' });
    await settle();
    expect(ids()).toEqual(['r2', 'r1']);
    expect(document.activeElement).toBe(opener);
    expect(one<HTMLInputElement>(root, 'input[type=search]').value).toBe('approve');
  });

  it('unsubscribes when it is disposed of', async () => {
    const host = new FakeHost(makeRun('r1'));
    await showRuns(host);
    view?.dispose();
    expect(host.listenerCount).toBe(0);
    expect(root.children).toHaveLength(0);
  });
});

describe('actions for several runs', () => {
  it('asks for confirmation before it resumes, and shows the result', async () => {
    const host = new FakeHost(makeWaiting('r1'), makeWaiting('r2'), makeRun('r3'));
    await showRuns(host);
    check('r1', 'r2', 'r3');
    expect(root.textContent).toContain('3 runs selected');
    buttonOf(root, 'Resume…').click();
    expect(root.textContent).toMatch(/Resume 2 runs\? .*1 selected run is not paused/);
    const area = one<HTMLTextAreaElement>(root, 'textarea');
    expect(document.activeElement).toBe(area);
    type(area, '{');
    expect(buttonOf(root, 'Resume 2 runs').disabled).toBe(true);
    type(area, '{"ok": 1}');
    host.runs.set('r2', makeRun('r2'));
    buttonOf(root, 'Resume 2 runs').click();
    await settle();
    expect(host.sent).toEqual([{ ok: 1 }]);
    const result = shownText(one(root, '.jp-PDFlow-bulk .jp-PDFlow-result'));
    expect(result).toMatch(/1 run resumed\. Failed for 1 run: .*r2: Nothing was changed/);
    expect(rows().every(each => !one<HTMLInputElement>(each, 'input').checked)).toBe(true);
  });

  it('approves what runs ask, and says which of them only count it or refuse it', async () => {
    const two = { approvers: ['ada', 'bob'], required: 2 };
    const host = new FakeHost(
      makeWaiting('r1'),
      makeWaiting('r2', { pause: makePause('suspend', 'ask', two) }),
      makeWaiting('r3', { title: 'Invoice 17' })
    );
    const errors = [{ field: 'amount', message: 'This is required.' }];
    const invalid = new ApiError('Not valid.', 'invalid_answer', 422, errors);
    host.refusals.set('r3', invalid);
    await showRuns(host);
    check('r1', 'r2', 'r3');
    buttonOf(root, 'Resume…').click();
    expect(root.textContent).toContain('1 of them asks for an approval: yours.');
    buttonOf(root, 'Resume 3 runs').click();
    await settle();
    expect(shownText(one(root, '.jp-PDFlow-bulk .jp-PDFlow-result'))).toBe(
      '1 run resumed. 1 approval counted; more have to approve. Failed for 1 run: ' +
        'Invoice 17, run r3: Not valid. amount: This is required.'
    );
  });

  it('cancels with a reason, unless the user goes back', async () => {
    const host = new FakeHost(makeWaiting('r1'), makeRun('r2'));
    await showRuns(host);
    check('r1', 'r2');
    buttonOf(root, 'Cancel…').click();
    buttonOf(root, 'Back').click();
    expect(host.callsOf('cancel')).toEqual([]);
    buttonOf(root, 'Cancel…').click();
    type(one<HTMLInputElement>(root, '.jp-PDFlow-bulk input'), 'too old');
    one<HTMLFormElement>(root, '.jp-PDFlow-bulk form').requestSubmit();
    await settle();
    expect(host.sent).toEqual(['too old', 'too old']);
    expect(root.textContent).toContain('2 runs canceled.');
  });

  it('does not select runs that have ended, and deselects a run that ends', async () => {
    const host = new FakeHost(makeRun('r1'), makeRun('r2', { status: 'succeeded' }));
    await showRuns(host);
    expect(one<HTMLInputElement>(row('r2'), 'input').disabled).toBe(true);
    check('r1');
    host.change({ ...makeRun('r1'), status: 'succeeded' });
    await settle();
    expect(root.querySelector('.jp-PDFlow-bulk-bar')?.hasAttribute('hidden')).toBe(true);
  });
});

it('opens a run, and returns to its row', async () => {
  const host = new FakeHost(makeWaiting('r1'), makeWaiting('r2'));
  await showRuns(host);
  one(row('r2'), 'button').click();
  await settle();
  expect(one(root, '.jp-PDFlow-runs').hidden).toBe(true);
  expect(shownText(root)).toContain('Step ask waits for a person');
  await host.resume('r1', null);
  buttonOf(root, 'All runs').click();
  await settle();
  expect(document.activeElement).toBe(one(row('r2'), 'button'));
  expect(ids()).toEqual(['r2', 'r1']);
});

function many(count: number): ReturnType<typeof makeRun>[] {
  return Array.from({ length: count }, (_, at) =>
    makeRun(`01JB${String(at).padStart(5, '0')}`, { status: 'succeeded' })
  );
}
