import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ApiError } from '../../../src/core/host';
import { mount } from '../../../src/core/component';
import type { RunsViewProps } from '../../../src/core/list/runs-view';
import { runsView } from '../../../src/core/list/runs-view';
import { LiveRuns } from '../../../src/core/live-runs';
import { isTicking } from '../../../src/core/ticker';
import { changeOf, FakeHost, makeError, makePause, makeRun, makeWaiting } from '../fake-host';
import { buttonOf, choose, makeRoot, one, settle, shownText, type } from '../helpers';

let root: HTMLElement;
let unmount: (() => void) | null = null;
let runs: LiveRuns;

type Options = Omit<Partial<RunsViewProps>, 'runs'>;

/** Show the runs of a host, or show them again with other properties. */
async function showRuns(host: FakeHost, options: Options = {}): Promise<void> {
  if (unmount === null) {
    runs = new LiveRuns(host);
  }
  unmount = mount(root, runsView({ runs, ...options }));
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

/** Check the boxes of runs. */
async function check(...wanted: string[]): Promise<void> {
  wanted.forEach(id => one(row(id), 'input').click());
  await settle(0);
}

/** Press a button, and wait until what it opens is drawn. */
async function press(label: string): Promise<void> {
  buttonOf(root, label).click();
  await settle(0);
}

/** Press a key on the focused element. */
async function key(name: string, init: KeyboardEventInit = {}): Promise<void> {
  const event = { key: name, bubbles: true, cancelable: true, ...init };
  document.activeElement?.dispatchEvent(new KeyboardEvent('keydown', event));
  await settle(0);
}

function opener(id: string): HTMLElement {
  return one(row(id), 'button');
}

/** The ids of the selected runs. */
function selected(): (string | undefined)[] {
  const isChecked = (each: HTMLElement): boolean => one<HTMLInputElement>(each, 'input').checked;
  return rows()
    .filter(isChecked)
    .map(each => each.dataset.run);
}

function chip(label: string): HTMLButtonElement {
  const chips = [...root.querySelectorAll<HTMLButtonElement>('.jp-PDFlow-chip')];
  const found = chips.find(each => each.textContent.includes(label));
  if (found === undefined) {
    throw new Error(`There is no chip ${label}.`);
  }
  return found;
}

function chips(): string[] {
  return [...root.querySelectorAll('.jp-PDFlow-chip')].map(shownText);
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
  unmount?.();
  unmount = null;
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
    const ended_at = '2026-11-22T11:00:00Z';
    const failed = makeRun('r2', { status: 'failed', error: makeError('pay'), ended_at });
    await showRuns(new FakeHost(makeWaiting('r1', { title: 'Invoice 17' }), failed));
    expect(shownText(row('r1'))).toMatch(
      /^Waiting Invoice 17 2 h ago approve-invoice · ask 1 h left$/
    );
    expect(shownText(row('r2'))).toMatch(
      /^Failed approve-invoice 2 h ago pay 1 h KeyError: no such customer$/
    );
  });

  it('counts down while a run waits', async () => {
    const deadline = '2026-11-22T12:00:10Z';
    const host = new FakeHost(
      makeWaiting('r1', { pause: makePause('suspend', 'ask', { deadline }) })
    );
    await showRuns(host);
    expect(one(row('r1'), '.jp-PDFlow-countdown').textContent).toBe('10 s left');
    await settle(4000);
    expect(one(row('r1'), '.jp-PDFlow-countdown').textContent).toBe('6 s left');
    await settle(9000);
    expect(one(row('r1'), '.jp-PDFlow-countdown').textContent).toBe('due now');
  });

  it('shows how to start if there are no runs', async () => {
    await showRuns(new FakeHost());
    expect(root.textContent).toMatch(
      /No runs yet.*Workflow notebook.*%load_ext jupyter_pdflow.*Run workflow…/s
    );
    expect(root.querySelector('.jp-PDFlow-more:not([hidden])')).toBeNull();
  });

  it('shows that it loads, shows an error, and tries again', async () => {
    const host = new FakeHost(makeRun('r1'));
    host.errors.list = new ApiError('x', 'network', 0);
    const shown = showRuns(host);
    expect(root.textContent).toContain('Loading…');
    await shown;
    expect(one(root, '[role=alert]').textContent).toMatch(/does not answer/);
    delete host.errors.list;
    await press('Try again');
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

  it('shows how long a run takes or took, and never the workflow twice', async () => {
    const host = new FakeHost(
      makeRun('r1', { created_at: '2026-11-22T11:59:40Z' }),
      makeRun('r2', { title: 'Invoice 2', created_at: '2026-11-20T11:59:40Z' }),
      makeRun('r3', { status: 'paused', pause: makePause('delay', 'ask') })
    );
    await showRuns(host);
    expect(shownText(row('r1'))).toMatch(/^Running approve-invoice just now ask 20\.?\d* s$/);
    expect(shownText(row('r2'))).toMatch(/^Running Invoice 2 .*20.* approve-invoice · ask 2 days/);
    expect(shownText(row('r3'))).toContain('in 1 h');
    expect(one(row('r2'), '.jp-PDFlow-row-title').title).toBe('Invoice 2');
    expect(one(row('r2'), '.jp-PDFlow-row-about').title).toContain('Run r2');
  });
});

describe('filters, search and pages', () => {
  it('requests the runs of a status and a workflow', async () => {
    const other = makeRun('r2', { workflow_name: 'report' });
    const host = new FakeHost(makeWaiting('r1'), other, makeRun('r3', { status: 'failed' }));
    await showRuns(host);
    chip('Failed').click();
    await settle();
    expect(ids()).toEqual(['r3']);
    expect(chip('Failed').getAttribute('aria-pressed')).toBe('true');
    chip('Waiting').click();
    await settle();
    expect(ids()).toEqual(['r1']);
    expect(chip('Failed').getAttribute('aria-pressed')).toBe('false');
    chip('Waiting').click();
    await settle();
    expect(ids()).toHaveLength(3);
    const names = [...selectOf('Workflow').options].map(option => option.text);
    expect(names).toEqual(['All workflows', 'approve-invoice', 'report']);
    choose(selectOf('Workflow'), 'notebooks-report');
    await settle();
    expect(ids()).toEqual(['r2']);
    expect(host.callsOf('list').at(-1)).toContain('"workflow":"notebooks-report"');
  });

  it('lists the active runs that do not wait for a person', async () => {
    const delayed = makeRun('r2', { status: 'paused', pause: makePause('delay', 'ask') });
    const queued = makeRun('r4', { status: 'queued' });
    const ended = makeRun('r5', { status: 'failed' });
    const host = new FakeHost(makeWaiting('r1'), delayed, makeRun('r3'), queued, ended);
    await showRuns(host);
    chip('Active').click();
    await settle();
    expect(ids()).toEqual(['r2', 'r3', 'r4']);
    await host.resume('r1', null);
    host.change({ ...makeRun('r3'), status: 'succeeded' });
    await settle();
    expect(ids()).toEqual(['r2', 'r1', 'r4']);
  });

  it('shows the runs of a fixed workflow, and its days', async () => {
    const host = new FakeHost(makeRun('r1'), makeRun('r2', { workflow_name: 'report' }));
    host.days.set('notebooks-report', [
      { day: '2026-11-21', succeeded: 3, failed: 2, canceled: 0, active: 0 },
      { day: '2026-11-22', succeeded: 0, failed: 0, canceled: 0, active: 1 }
    ]);
    await showRuns(host, { workflow: 'notebooks-report' });
    expect(ids()).toEqual(['r2']);
    expect(root.querySelector('select[aria-label=Workflow]')).toBeNull();
    expect(shownText(one(root, '.jp-PDFlow-workflow-head'))).toMatch(/^report 1\sactive/);
    expect(one(root, 'svg.jp-PDFlow-days').getAttribute('aria-label')).toMatch(
      /^Runs per day in 14 days: 6 runs, 2 failed; most on .*21.*: 5$/
    );
    expect(host.callsOf('counts')).toEqual(['counts {"workflow":"notebooks-report"}']);
  });

  it('starts with a status, removes a run that leaves it, and shows all on request', async () => {
    const host = new FakeHost(makeWaiting('r1'), makeWaiting('r2'), makeRun('r3'));
    await showRuns(host, { status: 'paused' });
    expect(ids()).toEqual(['r2', 'r1']);
    expect(chip('Paused').getAttribute('aria-pressed')).toBe('true');
    await host.resume('r1', null);
    await host.resume('r2', null);
    await settle();
    expect(ids()).toEqual([]);
    await press('Show all');
    await settle();
    expect(ids()).toHaveLength(3);
    expect(document.activeElement).toBe(one(root, 'input[type=search]'));
  });

  it('lists the runs with a status that is asked for later', async () => {
    const host = new FakeHost(makeRun('r1'), makeRun('r2', { status: 'failed' }));
    await showRuns(host);
    search('r1');
    await showRuns(host, { status: 'failed' });
    expect(ids()).toEqual(['r2']);
    expect(one<HTMLInputElement>(root, 'input[type=search]').value).toBe('');
  });

  it('lists the runs of some days, in the time zone of the viewer', async () => {
    const at = (day: number): string => new Date(2026, 10, day, 10).toISOString();
    const host = new FakeHost(
      makeRun('r1', { created_at: at(1) }),
      makeRun('r2', { created_at: at(20) }),
      makeRun('r3', { created_at: at(22) })
    );
    await showRuns(host);
    for (const [period, found] of [
      ['today', ['r3']],
      ['week', ['r3', 'r2']],
      ['month', ['r3', 'r2', 'r1']]
    ] as const) {
      choose(selectOf('Started'), period);
      await settle();
      expect(ids()).toEqual(found);
    }
    choose(selectOf('Started'), 'day');
    await settle();
    expect(ids()).toHaveLength(3);
    const day = one<HTMLInputElement>(root, 'input[type=date]');
    day.value = '2026-11-20';
    day.dispatchEvent(new Event('change'));
    await settle();
    expect(ids()).toEqual(['r2']);
  });

  it('lists the runs of the next day after midnight', async () => {
    vi.setSystemTime(new Date(2026, 10, 22, 23, 59, 50));
    const host = new FakeHost(makeRun('r1', { created_at: new Date().toISOString() }));
    await showRuns(host);
    choose(selectOf('Started'), 'today');
    await settle();
    expect(ids()).toEqual(['r1']);
    await settle(15_000);
    expect(ids()).toEqual([]);
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
    await press('Show all');
    await settle();
    expect(ids()).toHaveLength(2);
  });

  it('finds no run by a part of its id, which the counts do not know either', async () => {
    const run = makeRun('01JA42ZZ', { status: 'succeeded', title: 'Order 7' });
    await showRuns(new FakeHost(run));
    search('42');
    await settle();
    expect(ids()).toEqual([]);
    search('01ja42zz');
    await settle();
    expect(ids()).toEqual([run.id]);
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
    await press('Show more');
    await settle();
    expect(rows()).toHaveLength(101);
    expect(host.callsOf('list').at(-1)).toContain('"before"');
    search('approve');
    await settle();
    await press('Show more');
    await settle();
    expect(rows()).toHaveLength(151);
    expect(host.callsOf('list').at(-1)).toContain('"search":"approve"');
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
    opener('r1').focus();
    host.change({ ...makeRun('r1'), status: 'succeeded' });
    await settle();
    expect(ids()).toEqual(['r2', 'r1']);
    expect(document.activeElement).toBe(opener('r1'));
    expect(one<HTMLInputElement>(root, 'input[type=search]').value).toBe('approve');
  });

  it('unsubscribes when it is disposed of', async () => {
    const host = new FakeHost(makeRun('r1'));
    await showRuns(host);
    unmount?.();
    expect(host.listenerCount).toBe(0);
    expect(root.children).toHaveLength(0);
  });
});

describe('actions for several runs', () => {
  it('asks for confirmation before it resumes, and shows the result', async () => {
    const host = new FakeHost(makeWaiting('r1'), makeWaiting('r2'), makeRun('r3'));
    await showRuns(host);
    await check('r1', 'r2', 'r3');
    expect(root.textContent).toContain('3 runs selected');
    await press('Resume…');
    expect(root.textContent).toMatch(/Resume 2 runs\? .*1 selected run is not paused/);
    const area = one<HTMLTextAreaElement>(root, 'textarea');
    expect(document.activeElement).toBe(area);
    type(area, '{');
    await settle(0);
    expect(buttonOf(root, 'Resume 2 runs').disabled).toBe(true);
    type(area, '{"ok": 1}');
    await settle(0);
    host.runs.set('r2', makeRun('r2'));
    await press('Resume 2 runs');
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
    await check('r1', 'r2', 'r3');
    await press('Resume…');
    expect(root.textContent).toContain('1 of them asks for an approval: yours.');
    await press('Resume 3 runs');
    await settle();
    expect(shownText(one(root, '.jp-PDFlow-bulk .jp-PDFlow-result'))).toBe(
      '1 run resumed. 1 approval counted; more have to approve. Failed for 1 run: ' +
        'Invoice 17, run r3: Not valid. amount: This is required.'
    );
  });

  it('cancels with a reason, unless the user goes back', async () => {
    const host = new FakeHost(makeWaiting('r1'), makeRun('r2'));
    await showRuns(host);
    await check('r1', 'r2');
    await press('Cancel…');
    await press('Back');
    expect(host.callsOf('cancel')).toEqual([]);
    await press('Cancel…');
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
    await check('r1');
    host.change({ ...makeRun('r1'), status: 'succeeded' });
    await settle();
    expect(root.querySelector('.jp-PDFlow-bulk-bar')).toBeNull();
  });
});

describe('the keyboard', () => {
  const host = (): FakeHost =>
    new FakeHost(makeWaiting('r4'), makeRun('r3'), makeRun('r2'), makeRun('r1'));

  it('reaches one row with Tab, and the others with arrows, j and k', async () => {
    await showRuns(host());
    const stops = root.querySelectorAll('.jp-PDFlow-list [tabindex="0"]');
    expect([...stops]).toEqual([opener('r4')]);
    opener('r4').focus();
    for (const [name, id] of [
      ['ArrowDown', 'r3'],
      ['j', 'r2'],
      ['j', 'r1'],
      ['ArrowDown', 'r1'],
      ['k', 'r2'],
      ['Home', 'r4'],
      ['End', 'r1']
    ]) {
      await key(name);
      expect(document.activeElement).toBe(opener(id));
    }
    expect([...root.querySelectorAll('.jp-PDFlow-list [tabindex="0"]')]).toEqual([opener('r1')]);
  });

  it('selects with x, Space and ranges, and clears with Escape', async () => {
    await showRuns(host());
    opener('r4').focus();
    await key('x');
    await key('j');
    await key('j');
    await key(' ', { shiftKey: true });
    expect(selected()).toEqual(['r4', 'r3', 'r2']);
    await key('J', { shiftKey: true });
    expect(selected()).toEqual(['r4', 'r3', 'r2', 'r1']);
    await key('ArrowLeft');
    expect(document.activeElement).toBe(one(row('r1'), 'input'));
    await key('Escape');
    expect(selected()).toEqual([]);
    await key('a', { ctrlKey: true });
    expect(selected()).toHaveLength(4);
  });

  it('leaves shortcuts with other modifiers to the page', async () => {
    await showRuns(host());
    opener('r4').focus();
    await key('j', { ctrlKey: true });
    await key('x', { metaKey: true });
    expect(document.activeElement).toBe(opener('r4'));
    expect(selected()).toEqual([]);
  });

  it('has the next row once the focused one is gone', async () => {
    const shown = host();
    await showRuns(shown);
    opener('r3').focus();
    shown.runs.delete('r3');
    shown.emit(null);
    await settle();
    expect(ids()).toEqual(['r4', 'r2', 'r1']);
    expect(document.activeElement).toBe(opener('r2'));
  });
});

describe('selection with the mouse', () => {
  it('has ranges, and all that have not ended', async () => {
    const ended = makeRun('r1', { status: 'failed' });
    await showRuns(new FakeHost(makeWaiting('r4'), makeRun('r3'), makeRun('r2'), ended));
    await check('r4');
    const box = one(row('r2'), 'input');
    box.dispatchEvent(new MouseEvent('mousedown', { shiftKey: true, bubbles: true }));
    await check('r2');
    expect(selected()).toEqual(['r4', 'r3', 'r2']);
    const all = one<HTMLInputElement>(root, 'input[aria-label="Select all"]');
    expect([all.checked, all.indeterminate]).toEqual([true, false]);
    await check('r3');
    expect([all.checked, all.indeterminate]).toEqual([false, true]);
    all.click();
    await settle(0);
    expect(selected()).toEqual(['r4', 'r3', 'r2']);
    all.click();
    await settle(0);
    expect(selected()).toEqual([]);
  });
});

describe('the counts', () => {
  it('are those of the filter, and of all statuses', async () => {
    const report = { workflow_name: 'report' };
    const host = new FakeHost(
      makeWaiting('r1'),
      makeRun('r2', report),
      makeRun('r3', { status: 'failed', ...report })
    );
    await showRuns(host);
    expect(chips()).toEqual(['Waiting 1', 'Active 1', 'Failed 1', 'Succeeded 0', 'Canceled 0']);
    choose(selectOf('Workflow'), 'notebooks-report');
    chip('Failed').click();
    await settle();
    expect(chips().slice(0, 3)).toEqual(['Waiting 0', 'Active 1', 'Failed 1']);
    expect(host.callsOf('counts').at(-1)).toBe('counts {"workflow":"notebooks-report"}');
  });

  it('are read at most every two seconds', async () => {
    const host = new FakeHost(makeRun('r1'));
    await showRuns(host);
    for (let at = 0; at < 100; at += 1) {
      host.change(makeRun('r1'));
      await settle(100);
    }
    expect(host.callsOf('counts').length).toBeGreaterThan(3);
    expect(host.callsOf('counts').length).toBeLessThanOrEqual(6);
    const before = host.callsOf('counts').length;
    await settle(60_000);
    expect(host.callsOf('counts').length).toBeLessThanOrEqual(before + 1);
  });

  it('say that nothing waits only if nothing does, also with a filter', async () => {
    const idle = 'Nothing is waiting for a person.';
    const host = new FakeHost(makeWaiting('r1'), makeRun('r2', { status: 'failed' }));
    await showRuns(host, { status: 'failed' });
    expect(ids()).toEqual(['r2']);
    expect(root.textContent).not.toContain(idle);
    await host.resume('r1', null);
    await settle(3000);
    expect(one(root, '.jp-PDFlow-summary').textContent).toBe(idle);
    host.change(makeWaiting('r1'));
    await settle(3000);
    expect(root.textContent).not.toContain(idle);
  });
});

describe('groups by workflow', () => {
  const report = { workflow_name: 'report' };

  it('have a head, all runs that have not ended, and the last that have', async () => {
    const host = new FakeHost(makeWaiting('r90'), makeRun('r91', report), ...many(6));
    const chosen: string[] = [];
    await showRuns(host, { onGrouping: grouping => void chosen.push(grouping) });
    await press('By workflow');
    expect(chosen).toEqual(['workflow']);
    const heads = [...root.querySelectorAll('.jp-PDFlow-workflow-head')].map(shownText);
    expect(heads[0]).toMatch(/^approve-invoice 1\swaiting · 6\ssucceeded/);
    expect(heads[1]).toMatch(/^report 1\sactive/);
    expect(ids()).toEqual(['r90', '01JB00005', '01JB00004', '01JB00003', 'r91']);
    expect(shownText(row('r91'))).not.toContain('report ·');
    await press('3 more of approve-invoice');
    await settle();
    expect(selectOf('Workflow').value).toBe('notebooks-approve-invoice');
    expect(rows()).toHaveLength(7);
    expect(root.querySelectorAll('.jp-PDFlow-workflow-head')).toHaveLength(1);
  });

  it('name also workflows whose runs were not read', async () => {
    const old = makeRun('01JA', { status: 'failed', ...report });
    await showRuns(new FakeHost(old, ...many(60)), { grouping: 'workflow' });
    expect(ids()).not.toContain('01JA');
    await press('1 more of report');
    await settle();
    expect(ids()).toEqual(['01JA']);
  });
});

describe('opening a run', () => {
  it('shows its page in place of the list, and returns to its row', async () => {
    const host = new FakeHost(makeWaiting('r1'), makeWaiting('r2'));
    await showRuns(host);
    opener('r2').click();
    await settle();
    expect(one(root, '.jp-PDFlow-runs').hidden).toBe(true);
    expect(document.activeElement).toBe(buttonOf(root, 'All runs'));
    await host.resume('r1', null);
    await press('All runs');
    await settle();
    expect(root.querySelector('.jp-PDFlow-detail')).toBeNull();
    expect(document.activeElement).toBe(opener('r2'));
    expect(opener('r2').getAttribute('aria-current')).toBe('true');
    expect(ids()).toEqual(['r2', 'r1']);
    opener('r1').click();
    await settle();
    await key('Escape');
    expect(document.activeElement).toBe(opener('r1'));
  });

  it('is left to a host that can, and marks the row', async () => {
    const host = new FakeHost(makeWaiting('r1'), makeWaiting('r2'));
    const opened: string[] = [];
    host.openRun = id => {
      opened.push(id);
      // As the panel does it.
      void showRuns(host, { opened: id });
    };
    await showRuns(host);
    opener('r2').click();
    await settle();
    expect(opened).toEqual(['r2']);
    expect(one(root, '.jp-PDFlow-runs').hidden).toBe(false);
    expect(opener('r2').getAttribute('aria-current')).toBe('true');
    await showRuns(host, { opened: 'r1' });
    expect(opened).toEqual(['r2', 'r1']);
  });

  it('can be asked for', async () => {
    const host = new FakeHost(makeWaiting('r1'));
    await showRuns(host, { opened: 'r1' });
    expect(one(root, '.jp-PDFlow-runs').hidden).toBe(true);
    await showRuns(host, { opened: null });
    expect(one(root, '.jp-PDFlow-runs').hidden).toBe(true);
  });
});

function many(count: number): ReturnType<typeof makeRun>[] {
  return Array.from({ length: count }, (_, at) =>
    makeRun(`01JB${String(at).padStart(5, '0')}`, { status: 'succeeded' })
  );
}
