import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { mount } from '../../../src/core/component';
import { stepView } from '../../../src/core/run/step-view';
import { isTicking } from '../../../src/core/ticker';
import type { Output, Step } from '../../../src/core/types';
import type { RunProps } from '../fake-host';
import { FakeHost, makeDecider, makeError, makePause, makeRun } from '../fake-host';
import { buttonOf, makeRoot, one, settle, shownText } from '../helpers';

const [FROM, TO] = ['2026-11-22T11:00:00Z', '2026-11-22T11:05:00Z'];
const PRINTED: Output = { output_type: 'stream', name: 'stdout', text: 'printed' };

let root: HTMLElement;
let unmount: () => void;

function show(step: Partial<Step>, props: RunProps = {}, outputs: Output[] = []): string {
  const run = makeRun('r1', { ...props, steps: [{ name: 'ask', ...step }] });
  const host = new FakeHost();
  host.fileUrl = (id, path) => `/api/${id}/${path}`;
  unmount = mount(root, stepView({ host, run, step: run.steps[0], outputs }));
  return shownText(root);
}

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-22T12:00:00Z') });
  root = makeRoot();
});

afterEach(() => {
  unmount();
  expect(isTicking()).toBe(false);
  vi.useRealTimers();
});

describe('stepView', () => {
  it('shows the status, the duration and the executions', () => {
    const text = show({ status: 'succeeded', runs: 4, started_at: FROM, ended_at: TO });
    expect(text).toMatch(/^ask Succeeded 5 min executed 4 times started /);
  });

  it('counts the duration of a step that runs', async () => {
    show({ status: 'running', runs: 1, started_at: FROM });
    expect(shownText(root)).toContain('Running 1 h');
    await settle(61_000);
    expect(shownText(root)).toContain('Running 1 h 1 min');
  });

  it('shows that the step waits for a person', () => {
    const pause = makePause('suspend', 'ask');
    expect(show({ status: 'paused' }, { status: 'paused', pause })).toBe('ask Waiting');
    const later = makePause('delay', 'ask');
    expect(show({ status: 'paused' }, { status: 'paused', pause: later })).toBe('ask Paused');
  });

  it('shows its decisions, then the error, the output and the exports', () => {
    const by = [makeDecider()];
    const decided = { outcome: 'approved' as const, at: TO, by };
    const decisions = ['ask', 'pay'].map(step => ({ step, ...decided }));
    const error = makeError('ask');
    const outputs: Output[] = [PRINTED, { output_type: 'error', traceback: ['raw'] }];
    const text = show({ status: 'failed', error, exports: { n: 12 } }, { decisions }, outputs);
    expect(text).toMatch(
      /Approved by Ada.*KeyError: no such customer.*Output printed Exports n : 12/
    );
    expect(text.match(/Approved/g)).toHaveLength(1);
    expect(text).not.toContain('raw');
  });

  it('has no empty parts', () => {
    expect(show({ status: 'pending' })).toBe('ask Pending');
  });

  it('links exported paths of files', () => {
    show({ exports: { file: '/home/ada/files/r1/best.bin' } });
    expect(one(root, 'a').getAttribute('href')).toBe('/api/r1/best.bin');
  });

  it('shows the end of a long traceback, and all of it on request', async () => {
    const traceback = Array.from({ length: 40 }, (_, n) => `frame ${n}`);
    show({ status: 'failed', error: { ...makeError('ask'), traceback } });
    const shown = (): string => one(root, '.jp-PDFlow-traceback').textContent.trim();
    expect(shown()).toMatch(/^frame 28\n[^]*frame 39$/);
    buttonOf(root, 'Show all 40 lines').click();
    await settle(0);
    expect(shown()).toBe(traceback.join('\n'));
    buttonOf(root, 'Show the last lines').click();
    await settle(0);
    expect(shown()).toMatch(/^frame 28\n/);
  });

  it('truncates a very long message', () => {
    const error = { ...makeError('ask'), message: 'm'.repeat(9000), traceback: [] };
    expect(show({ status: 'failed', error }).length).toBeLessThan(500);
    expect(root.querySelector('pre')).toBeNull();
  });
});
