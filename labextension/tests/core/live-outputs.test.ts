import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { LiveOutputs } from '../../src/core/live-outputs';
import type { Output, Run } from '../../src/core/types';
import type { RunProps } from './fake-host';
import { FakeHost, makeRun } from './fake-host';
import { settle } from './helpers';

const STARTED = '2026-11-22T11:00:00Z';

function stepAt(status: 'running' | 'succeeded', props: RunProps = {}): Run {
  const steps = [{ name: 'ask', status, runs: 1, started_at: STARTED }];
  return makeRun('r1', { status: status === 'running' ? 'running' : 'succeeded', steps, ...props });
}

function printed(text: string): Record<string, Output[]> {
  return { ask: [{ output_type: 'stream', name: 'stdout', text }] };
}

const visibility = vi.spyOn(document, 'visibilityState', 'get');
const onUpdate = vi.fn();
let host: FakeHost;
let outputs: LiveOutputs;

function reads(): number {
  return host.callsOf('outputs').length;
}

function setVisible(isVisible: boolean): void {
  visibility.mockReturnValue(isVisible ? 'visible' : 'hidden');
  document.dispatchEvent(new Event('visibilitychange'));
}

beforeEach(() => {
  vi.useFakeTimers();
  setVisible(true);
  onUpdate.mockReset();
  host = new FakeHost();
  host.outputsBy.set('r1', printed('x'));
  outputs = new LiveOutputs(host, 'r1', onUpdate);
});

afterEach(() => {
  outputs.dispose();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe('LiveOutputs', () => {
  it('reads nothing before a step has started', async () => {
    outputs.follow(makeRun('r1', { status: 'running' }));
    await settle(5000);
    expect(reads()).toBe(0);
    expect(outputs.isLoaded).toBe(true);
  });

  it('reads the outputs of an ended run once', async () => {
    outputs.follow(stepAt('succeeded'));
    outputs.follow(stepAt('succeeded', { updated_at: STARTED }));
    await settle(5000);
    expect(reads()).toBe(1);
    expect(outputs.outputs).toEqual(printed('x'));
    expect(onUpdate).toHaveBeenCalledTimes(1);
  });

  it('reads every 500 ms while a step runs, and once more when it has ended', async () => {
    outputs.follow(stepAt('running'));
    await settle(1050);
    expect(reads()).toBe(3);
    host.outputsBy.set('r1', printed('x\ny'));
    await settle(500);
    expect(outputs.outputs).toEqual(printed('x\ny'));
    expect(onUpdate).toHaveBeenCalledTimes(2);
    outputs.follow(stepAt('succeeded'));
    await settle(5000);
    expect(reads()).toBe(5);
  });

  it('keeps the outputs of a step that are equal', async () => {
    outputs.follow(stepAt('running'));
    await settle(10);
    const { ask } = outputs.outputs;
    host.outputsBy.set('r1', { ...printed('x'), pay: [] });
    await settle(500);
    expect(outputs.outputs).toHaveProperty('pay');
    expect(outputs.outputs.ask).toBe(ask);
  });

  it('knows steps that are named like attributes of objects', async () => {
    expect(outputs.of('constructor')).toEqual([]);
    expect(outputs.of('__proto__')).toEqual([]);
    const each: Output[] = [{ output_type: 'stream', name: 'stdout', text: 'x' }];
    host.outputsBy.set('r1', Object.fromEntries([['__proto__', each]]));
    outputs.follow(stepAt('succeeded'));
    await settle(10);
    expect(outputs.of('__proto__')).toEqual(each);
  });

  it('reads nothing more while the outputs are out of sight', async () => {
    const isShown = vi.fn(() => false);
    outputs.dispose();
    outputs = new LiveOutputs(host, 'r1', onUpdate, { isShown });
    outputs.follow(stepAt('running'));
    await settle(5000);
    expect(reads()).toBe(1);
    isShown.mockReturnValue(true);
    await settle(600);
    expect(reads()).toBe(2);
  });

  it('reads the outputs of one step only as that step goes on', async () => {
    const started = { runs: 1, started_at: STARTED };
    const states = (ask: 'running' | 'succeeded', pay: 'running' | 'succeeded'): Run =>
      makeRun('r1', {
        status: 'running',
        steps: [
          { name: 'ask', status: ask, ...started },
          { name: 'pay', status: pay, ...started }
        ]
      });
    outputs.dispose();
    outputs = new LiveOutputs(host, 'r1', onUpdate, { step: 'ask' });
    outputs.follow(states('succeeded', 'running'));
    await settle(5000);
    outputs.follow(states('succeeded', 'succeeded'));
    await settle(5000);
    expect(reads()).toBe(1);
    outputs.follow(states('running', 'succeeded'));
    await settle(1200);
    expect(reads()).toBeGreaterThan(2);
  });

  it('stops while the page is hidden', async () => {
    outputs.follow(stepAt('running'));
    await settle(10);
    setVisible(false);
    await settle(5000);
    expect(reads()).toBe(1);
    setVisible(true);
    await settle(10);
    expect(reads()).toBe(2);
  });

  it('never sends two requests at once', async () => {
    let open = 0;
    let most = 0;
    host.outputs = async () => {
      open += 1;
      most = Math.max(most, open);
      await new Promise(resolve => setTimeout(resolve, 1300));
      open -= 1;
      return printed('x');
    };
    outputs.follow(stepAt('running'));
    await settle(400);
    outputs.follow(stepAt('running', { steps: [{ name: 'ask', runs: 2, started_at: STARTED }] }));
    setVisible(true);
    await settle(6000);
    expect(most).toBe(1);
    outputs.dispose();
    await settle(2000);
  });

  it('keeps an error until a read succeeds', async () => {
    host.errors.outputs = new Error('Odd.');
    outputs.follow(stepAt('succeeded'));
    await settle(10);
    expect(outputs.error).toBe(host.errors.outputs);
    delete host.errors.outputs;
    outputs.reload();
    await settle(10);
    expect([outputs.error, outputs.outputs]).toEqual([null, printed('x')]);
  });

  it('tries again later, and at the next change of the run', async () => {
    host.errors.outputs = new Error('Odd.');
    outputs.follow(stepAt('running'));
    await settle(4000);
    expect(reads()).toBe(1);
    await settle(1500);
    expect(reads()).toBe(2);
    outputs.follow(stepAt('running', { updated_at: STARTED }));
    await settle(10);
    expect(reads()).toBe(3);
  });

  it('reports nothing after it was disposed of', async () => {
    outputs.follow(stepAt('running'));
    outputs.dispose();
    await settle(5000);
    expect(onUpdate).not.toHaveBeenCalled();
    expect(reads()).toBe(1);
  });
});
