import { MessageLoop } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LiveRuns } from '../../src/core/live-runs';
import { RunsPanel } from '../../src/plugin/runs-panel';
import { WaitingRuns } from '../../src/plugin/waiting-runs';
import { FakeHost, makeRun, makeWaiting } from '../core/fake-host';
import { buttonOf, makeRoot, one, settle } from '../core/helpers';

// The icon needs a page of JupyterLab.
vi.mock('../../src/plugin/icon', () => ({ runsIcon: undefined }));

let host: FakeHost;
let panel: RunsPanel;

async function activate(): Promise<void> {
  MessageLoop.sendMessage(panel, Widget.Msg.ActivateRequest);
  await settle();
}

function shown(): (string | undefined)[] {
  return [...panel.node.querySelectorAll<HTMLElement>('.jp-PDFlow-row')].map(
    row => row.dataset.run
  );
}

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-22T12:00:00Z') });
  localStorage.clear();
  host = new FakeHost(makeWaiting('r2'), makeRun('r1', { status: 'failed' }));
  const runs = new LiveRuns(host);
  panel = new RunsPanel(runs, new WaitingRuns(runs));
  panel.hide();
  Widget.attach(panel, makeRoot());
});

afterEach(() => {
  panel.dispose();
  vi.useRealTimers();
});

it('reads the runs of the list once it is shown', async () => {
  panel.pageSize = 20;
  await settle();
  expect(host.callsOf('list')).toHaveLength(1);
  panel.show();
  await settle();
  expect(host.callsOf('list').length).toBeGreaterThan(1);
  expect(host.callsOf('list').at(-1)).toContain('"limit":20');
  expect(shown()).toEqual(['r2', 'r1']);
  expect(panel.title.caption).toBe('Workflow runs (1 waiting)');
});

it('gives the focus to the list when it is activated', async () => {
  panel.show();
  await activate();
  expect(document.activeElement).toBe(one(panel.node, '[data-run="r2"] button'));
});

it('keeps the focus that it has', async () => {
  panel.show();
  await settle();
  const search = one(panel.node, 'input[type=search]');
  search.focus();
  await activate();
  expect(document.activeElement).toBe(search);
});

it('opens a run again that was closed, and gives it the focus', async () => {
  panel.show();
  for (let times = 0; times < 2; times += 1) {
    panel.open('r1');
    await activate();
    const back = buttonOf(panel.node, 'All runs');
    expect(document.activeElement).toBe(back);
    back.click();
    await settle();
    expect(panel.node.querySelector('.jp-PDFlow-detail')).toBeNull();
  }
});

it('lists the runs with a status, each time that it is asked to', async () => {
  panel.show();
  for (let times = 0; times < 2; times += 1) {
    panel.showStatus('failed');
    await settle();
    expect(shown()).toEqual(['r1']);
    one(panel.node, '.jp-PDFlow-chip[aria-pressed=true]').click();
    await settle();
    expect(shown()).toHaveLength(2);
  }
});

it('remembers how the runs are grouped', async () => {
  panel.show();
  await settle();
  buttonOf(panel.node, 'By workflow').click();
  const runs = new LiveRuns(host);
  const other = new RunsPanel(runs, new WaitingRuns(runs));
  Widget.attach(other, document.body);
  await settle();
  expect(buttonOf(other.node, 'By workflow').getAttribute('aria-pressed')).toBe('true');
  other.dispose();
});
