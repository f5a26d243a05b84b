import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { mount } from '../../../src/core/component';
import { LiveRuns } from '../../../src/core/live-runs';
import type { StepCellProps } from '../../../src/core/run/step-cell';
import { stepCell } from '../../../src/core/run/step-cell';
import { isTicking } from '../../../src/core/ticker';
import type { Run, Step } from '../../../src/core/types';
import type { RunProps } from '../fake-host';
import { FakeHost, makeError, makePause, makeRun, makeWorkflow } from '../fake-host';
import { buttonOf, makeRoot, one, settle, shownText } from '../helpers';

const AT = '2026-11-22T11:00:00Z';
const WORKFLOW = 'notebooks-approve-invoice';

let root: HTMLElement;
let host: FakeHost;
let unmount: (() => void) | null;

function runOf(id: string, ask: Partial<Step>, props: RunProps = {}): Run {
  const steps = [
    { name: 'load', status: 'succeeded' as const },
    { name: 'ask', ...ask }
  ];
  return makeRun(id, { steps: [...steps, { name: 'pay' }], ...props });
}

function ended(id: string, props: RunProps = {}): Run {
  const step = { status: 'succeeded' as const, runs: 1, started_at: AT, ended_at: AT };
  return runOf(id, step, { status: 'succeeded', ...props });
}

async function show(props: Partial<StepCellProps> = {}): Promise<string> {
  const runs = new LiveRuns(host);
  const own = { runs, step: 'ask', workflow: WORKFLOW, run: null };
  unmount = mount(root, stepCell({ ...own, ...props }));
  await settle();
  return shownText(root);
}

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-22T12:00:00Z') });
  root = makeRoot();
  host = new FakeHost();
  unmount = null;
});

afterEach(async () => {
  unmount?.();
  await settle();
  expect([isTicking(), host.listenerCount, vi.getTimerCount()]).toEqual([false, 0, 0]);
  vi.useRealTimers();
});

describe('stepCell', () => {
  it('says how to begin if there is no run, and shows the first one', async () => {
    const begin = /^No run yet\. Start one with Run workflow… in the toolbar, or with %pdflow run/;
    expect(await show()).toMatch(begin);
    host.change(ended('r1', { title: 'Invoice 17' }));
    await settle();
    expect(shownText(root)).toMatch(/^Succeeded 0 ms run Invoice 17 , started .* , step 2 of 3$/);
  });

  it('says how to begin without a workflow or a run', async () => {
    expect(await show({ workflow: null })).toMatch(/^No run yet\./);
  });

  it('follows the latest run, and keeps the one before until that was read', async () => {
    host.change(ended('r1', { title: 'First' }));
    host.outputsBy.set('r1', { ask: [{ output_type: 'stream', text: 'one' }] });
    expect(await show()).toMatch(/First.*Output one/);
    const seen = new Set<string>();
    const observer = new MutationObserver(() => seen.add(shownText(root)));
    observer.observe(root, { childList: true, characterData: true, subtree: true });
    host.change(runOf('r2', { status: 'pending' }, { title: 'Second' }));
    await settle();
    observer.disconnect();
    expect(shownText(root)).toMatch(/^Pending run Second/);
    expect(shownText(root)).not.toContain('one');
    expect([...seen].some(text => text.includes('Loading'))).toBe(false);
  });

  it('ignores runs of other workflows', async () => {
    host.change(ended('r1', { title: 'Own' }));
    await show();
    host.change(ended('r2', { title: 'Other', workflow_id: 'other' }));
    await settle();
    expect(shownText(root)).toContain('run Own');
  });

  it('shows only its run without a workflow, as saved outputs ask for', async () => {
    host.change(ended('r1', { title: 'First' }));
    host.change(ended('r2', { title: 'Second' }));
    expect(await show({ workflow: null, run: 'r1' })).toContain('run First');
  });

  it('shows the output of a running step as it is printed', async () => {
    host.change(runOf('r1', { status: 'running', runs: 1, started_at: AT }, { status: 'running' }));
    host.outputsBy.set('r1', { ask: [{ output_type: 'stream', text: 'one\n' }] });
    expect(await show()).toContain('Output one');
    host.outputsBy.set('r1', { ask: [{ output_type: 'stream', text: 'one\ntwo\n' }] });
    await settle(600);
    expect(shownText(root)).toContain('Output one two');
    host.change(ended('r1'));
    await settle();
    const reads = host.callsOf('outputs').length;
    await settle(5000);
    expect(host.callsOf('outputs')).toHaveLength(reads);
  });

  it.each([
    ['The run is at step pay, which waits for a person.', { pause: makePause('suspend', 'pay') }],
    ['The run is at step pay, which runs again later.', { pause: makePause('rerun', 'pay') }],
    ['The run waits to be executed.', { status: 'queued' as const }]
  ])('says where the run is: %s', async (text, props) => {
    const run = runOf('r1', { status: 'succeeded' }, { status: 'paused', ...props });
    host.change(run);
    expect(await show()).toContain(text);
  });

  it('says at which other step the run is running or has failed', async () => {
    const run = runOf('r1', { status: 'succeeded' });
    run.steps[2].status = 'running';
    host.change(run);
    expect(await show()).toContain('The run is at step pay.');
    const failed = structuredClone(run);
    Object.assign(failed.steps[2], { status: 'failed', error: makeError('pay') });
    host.change({ ...failed, status: 'failed' });
    await settle();
    expect(shownText(root)).toContain('The run has failed at step pay.');
  });

  it('says nothing of the kind where the run waits at this step', async () => {
    const pause = makePause('suspend', 'ask');
    host.change(runOf('r1', { status: 'paused' }, { status: 'paused', pause }));
    await show();
    expect(root.querySelector('.jp-PDFlow-whereabouts')).toBeNull();
  });

  it('says what an answer has done, and keeps the focus there, until the next run', async () => {
    const pause = makePause('suspend', 'ask');
    host.change(runOf('r1', { status: 'paused' }, { status: 'paused', pause }));
    await show();
    buttonOf(root, 'Resume').focus();
    buttonOf(root, 'Resume').click();
    await settle();
    const result = one(root, '.jp-PDFlow-actions .jp-PDFlow-result');
    expect(document.activeElement).toBe(result);
    expect(result.textContent).toBe('Resumed.');
    expect(root.querySelector('.jp-PDFlow-pause, .jp-PDFlow-buttons')).toBeNull();
    host.change(ended('r2'));
    await settle();
    expect(root.querySelector('.jp-PDFlow-actions')).toBeNull();
  });

  it('has no actions once the run waits at another step', async () => {
    const pause = makePause('suspend', 'ask');
    host.change(runOf('r1', { status: 'paused' }, { status: 'paused', pause }));
    await show();
    buttonOf(root, 'Resume').focus();
    const later = makePause('suspend', 'pay');
    host.change(runOf('r1', { status: 'succeeded' }, { status: 'paused', pause: later }));
    await settle();
    expect(root.querySelector('.jp-PDFlow-buttons')).toBeNull();
    expect(one(root, '.jp-PDFlow-answer').hidden).toBe(true);
    expect(document.activeElement?.textContent).toBe('The run now waits at step pay.');
  });

  it('says that the version of the run has no such step', async () => {
    host.change(ended('r1'));
    expect(await show({ step: 'new' })).toMatch(/run approve-invoice , started .*no step new/);
  });

  it('opens the run and its notebook if the host can', async () => {
    host.change(ended('r1', { title: 'First' }));
    await show();
    expect(() => buttonOf(root, 'First')).toThrow();
    unmount?.();
    const opened: string[] = [];
    host.openRun = id => void opened.push(`run ${id}`);
    host.openNotebook = id => void opened.push(`notebook ${id}`);
    await show();
    buttonOf(root, 'First').click();
    buttonOf(root, 'Open as notebook').click();
    expect(opened).toEqual(['run r1', 'notebook r1']);
  });

  it('shows errors, and reads again on request', async () => {
    host.change(ended('r1'));
    host.errors.get = new Error('Odd.');
    expect(await show()).toContain('Odd.');
    delete host.errors.get;
    host.errors.outputs = new Error('Bad.');
    buttonOf(root, 'Try again').click();
    await settle();
    expect(shownText(root)).toContain('The output can’t be shown. Bad.');
    delete host.errors.outputs;
    buttonOf(root, 'Try again').click();
    await settle();
    expect(root.querySelector('[role=alert]')).toBeNull();
    host.errors.list = new Error('Gone.');
    host.emit(null);
    await settle();
    expect(shownText(root)).toMatch(/Gone\. The run shown may be out of date.*Succeeded/);
  });

  it('shows the run before if the latest was deleted', async () => {
    host.change(ended('r1', { title: 'First' }));
    host.change(ended('r2', { title: 'Second' }));
    expect(await show()).toContain('Second');
    host.runs.delete('r2');
    host.emit(null);
    await settle();
    expect(shownText(root)).toContain('run First');
  });
});

describe('a changed cell', () => {
  const CHANGED = 'This cell was changed since v3, which this run used.';

  function deploy(source: string): void {
    const version = '3f9c2a7be01d44aa';
    const steps = [{ name: 'ask', source }];
    const code = { kernel_name: 'python3', queue: 'default', setup: [], modules: [] };
    const workflow = makeWorkflow(WORKFLOW, { version, number: 3 });
    host.sources.set(version, { ...workflow, source: { ...code, steps } });
  }

  it('is told of within a second, and the version is read once', async () => {
    let cell: string | null = 'x = 1\n';
    host.cellSource = () => cell;
    deploy('x = 1');
    host.change(ended('r1'));
    expect(await show()).not.toContain(CHANGED);
    cell = 'x = 2';
    await settle(1000);
    expect(shownText(root)).toContain(CHANGED);
    host.change(ended('r2'));
    await settle(1000);
    expect(host.callsOf('source')).toHaveLength(1);
    cell = null;
    await settle(1000);
    expect(shownText(root)).not.toContain(CHANGED);
  });

  it('is not told of if the version can not be read', async () => {
    host.cellSource = () => 'x = 2';
    host.change(ended('r1'));
    expect(await show()).toContain('Succeeded');
    expect(shownText(root)).not.toContain('changed');
  });
});

describe('onSettled', () => {
  it('is called once for each settled state of the shown run', async () => {
    const settled: string[] = [];
    host.change(runOf('r1', { status: 'running' }, { status: 'running' }));
    host.change(ended('r0'));
    await show({ onSettled: run => void settled.push(`${run.id} ${run.status}`) });
    expect(settled).toEqual([]);
    const pause = makePause('suspend', 'pay');
    host.change(runOf('r1', { status: 'succeeded' }, { status: 'paused', pause }));
    await settle();
    host.emit(null);
    await settle();
    expect(settled).toEqual(['r1 paused']);
    host.change(ended('r0'));
    host.change(ended('r1'));
    await settle();
    expect(settled).toEqual(['r1 paused', 'r1 succeeded']);
    host.change(ended('r2'));
    await settle();
    expect(settled.at(-1)).toBe('r2 succeeded');
    expect(one(root, 'article').dataset.status).toBe('succeeded');
  });
});
