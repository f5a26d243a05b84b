import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ApiError } from '../../src/core/host';
import { RunView } from '../../src/core/run-view';
import { isTicking } from '../../src/core/ticker';
import type { Run } from '../../src/core/types';
import { FakeHost, makeError, makePause, makeRun, makeWaiting } from './fake-host';
import { buttonOf, makeRoot, one, settle, shownText, type } from './helpers';

let root: HTMLElement;
let view: RunView | null = null;

async function showRun(host: FakeHost, step?: string): Promise<void> {
  view = new RunView(root, host, 'r1', step === undefined ? {} : { step });
  await settle();
}

function area(): HTMLTextAreaElement {
  return one<HTMLTextAreaElement>(root, 'textarea');
}

function result(): string {
  return one(root, '.jp-PDFlow-result').textContent;
}

function at(minute: number): string {
  return `2026-11-22T11:${String(minute).padStart(2, '0')}:00Z`;
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

describe('a run', () => {
  it('shows its steps with durations, reruns, exports and the error', async () => {
    const host = new FakeHost(
      makeRun('r1', {
        status: 'failed',
        event: { invoice: 7 },
        usage: { credits: 3, compute_ms: 3200, paused_ms: 310_000 },
        steps: [
          {
            name: 'ask',
            status: 'succeeded',
            runs: 4,
            started_at: at(0),
            ended_at: at(5),
            exports: { n: 12 }
          },
          {
            name: 'pay',
            status: 'failed',
            runs: 1,
            started_at: at(5),
            ended_at: at(6),
            error: makeError('pay')
          },
          { name: 'end', status: 'skipped' }
        ]
      })
    );
    await showRun(host);
    const text = shownText(root);
    expect(text).toContain('Credits 3 Compute 3.2 s Paused 5 min 10 s');
    expect(text).toMatch(/ask Succeeded 5 min executed 4 times .*Exports n : 12/);
    expect(text).toContain('pay Failed 1 min');
    expect(text).toContain('end Skipped');
    expect(one(root, '.jp-PDFlow-traceback').textContent).toBe('KeyError\n  in handler(pd)');
    expect(root.querySelectorAll('.jp-PDFlow-error-message')).toHaveLength(1);
  });

  it('shows the reason of a canceled run, and no buttons', async () => {
    await showRun(new FakeHost(makeRun('r1', { status: 'canceled', reason: 'Twice' })));
    expect(shownText(root)).toContain('Reason: Twice');
    expect(() => buttonOf(root, 'Cancel…')).toThrow();
    expect(() => buttonOf(root, 'Resume')).toThrow();
  });

  it('shows outputs: text, images, and HTML as text', async () => {
    const steps = [{ name: 'ask', status: 'succeeded' as const, started_at: at(0), runs: 1 }];
    const host = new FakeHost(makeRun('r1', { steps }));
    host.outputsBy.set('r1', {
      ask: [
        { output_type: 'stream', name: 'stdout', text: ['a\n', 'b'] },
        { output_type: 'display_data', data: { 'image/png': 'iVBO\nRw0=', 'text/plain': 'Plot' } },
        { output_type: 'display_data', data: { 'text/html': '<b>bold</b><script>x</script>' } },
        { output_type: 'error', ename: 'E', evalue: 'v', traceback: ['\u001b[31mE\u001b[0m: v'] }
      ]
    });
    await showRun(host);
    const texts = [...root.querySelectorAll('.jp-PDFlow-text')].map(node => node.textContent);
    expect(texts).toEqual(['a\nb', 'bold', 'E: v']);
    const image = one<HTMLImageElement>(root, 'img');
    expect([image.src, image.alt]).toEqual(['data:image/png;base64,iVBORw0=', 'Plot']);
    expect(root.querySelector('script')).toBeNull();
  });

  it('lets the host render outputs, and only if they are new', async () => {
    const steps = [{ name: 'ask', status: 'running' as const, started_at: at(0), runs: 1 }];
    const host = new FakeHost(makeRun('r1', { steps }));
    host.outputsBy.set('r1', { ask: [{ output_type: 'stream', text: 'x' }] });
    host.renderOutputs = vi.fn();
    await showRun(host);
    host.emit(null);
    await settle();
    expect(host.renderOutputs).toHaveBeenCalledTimes(1);
    expect(host.callsOf('outputs')).toHaveLength(1);
    const ended = [{ name: 'ask', status: 'succeeded' as const, started_at: at(0), runs: 1 }];
    host.change(makeRun('r1', { steps: ended }));
    await settle();
    expect(host.callsOf('outputs')).toHaveLength(2);
    expect(host.renderOutputs).toHaveBeenCalledTimes(1);
  });

  it('shows an error if the outputs can not be read, and the rest of the run', async () => {
    const steps = [{ name: 'ask', status: 'running' as const, started_at: at(0), runs: 1 }];
    const host = new FakeHost(makeRun('r1', { steps }));
    host.errors.outputs = new ApiError('Odd.', 'error', 500);
    await showRun(host);
    expect(shownText(root)).toContain("The outputs can't be shown. Odd.");
    delete host.errors.outputs;
    buttonOf(root, 'Try again').click();
    await settle();
    expect(root.querySelector('[role=alert]')).toBeNull();
  });

  it('shows that the run does not exist, or that the server does not answer', async () => {
    const host = new FakeHost();
    await showRun(host);
    expect(one(root, '[role=alert]').textContent).toContain('no longer exists');
    host.runs.set('r1', makeRun('r1'));
    buttonOf(root, 'Try again').click();
    await settle();
    host.errors.get = new ApiError('x', 'network', 0);
    host.emit(null);
    await settle();
    expect(shownText(root)).toMatch(/out of date.*approve-invoice/);
    delete host.errors.get;
  });

  it('opens as a notebook if the host can', async () => {
    const host = new FakeHost(makeRun('r1'));
    host.openNotebook = vi.fn();
    await showRun(host);
    buttonOf(root, 'Open as notebook').click();
    expect(host.openNotebook).toHaveBeenCalledWith('r1');
  });
});

describe('resume and cancel', () => {
  it('validates the data on input', async () => {
    await showRun(new FakeHost(makeWaiting('r1')));
    expect(buttonOf(root, 'Resume').disabled).toBe(false);
    type(area(), "{'a'");
    expect(buttonOf(root, 'Resume').disabled).toBe(true);
    expect(area().getAttribute('aria-invalid')).toBe('true');
    expect(one(root, '.jp-PDFlow-problem').textContent).toMatch(/not JSON yet.*double quotes/);
    type(area(), '{"a": 1}');
    expect(buttonOf(root, 'Resume').disabled).toBe(false);
    expect(one(root, '.jp-PDFlow-problem').textContent).toBe('');
  });

  it('resumes with data, and moves the focus to the result', async () => {
    const host = new FakeHost(makeWaiting('r1'));
    await showRun(host);
    type(area(), '{"a": 1}');
    buttonOf(root, 'Resume').focus();
    buttonOf(root, 'Resume').click();
    await settle();
    expect(host.sent).toEqual([{ a: 1 }]);
    expect(result()).toBe('Resumed, with your data.');
    expect(document.activeElement).toBe(one(root, '.jp-PDFlow-result'));
    expect(area().value).toBe('');
    expect(one(root, '.jp-PDFlow-pause').hidden).toBe(true);
  });

  it('resumes without data', async () => {
    const host = new FakeHost(makeWaiting('r1'));
    await showRun(host);
    buttonOf(root, 'Resume').click();
    await settle();
    expect(host.sent).toEqual([null]);
    expect(result()).toBe('Resumed.');
  });

  it('sends one request for several clicks', async () => {
    const host = new FakeHost(makeWaiting('r1'));
    await showRun(host);
    buttonOf(root, 'Resume').click();
    buttonOf(root, 'Resume').click();
    await settle();
    expect(host.sent).toHaveLength(1);
  });

  it('cancels with a reason after confirmation', async () => {
    const host = new FakeHost(makeRun('r1'));
    await showRun(host);
    buttonOf(root, 'Cancel…').click();
    buttonOf(root, 'Keep it').click();
    expect(document.activeElement).toBe(buttonOf(root, 'Cancel…'));
    buttonOf(root, 'Cancel…').click();
    const reason = one<HTMLInputElement>(root, '.jp-PDFlow-cancel input');
    expect(document.activeElement).toBe(reason);
    type(reason, ' Twice ');
    one<HTMLFormElement>(root, '.jp-PDFlow-cancel').requestSubmit();
    await settle();
    expect(host.sent).toEqual(['Twice']);
    expect(result()).toBe('Canceled. No later step is executed.');
  });

  it.each([
    [new ApiError('x', 'not_paused', 409), /no longer paused/],
    [new ApiError("Step 'ask' was already resumed.", 'already_decided', 410), /already resumed/],
    [new ApiError('x', 'not_found', 404), /no longer exists/],
    [new ApiError('x', 'network', 0), /does not answer/]
  ])('shows the error: %s', async (error, pattern) => {
    const host = new FakeHost(makeWaiting('r1'));
    host.errors.resume = error;
    await showRun(host);
    type(area(), '1');
    buttonOf(root, 'Resume').click();
    await settle();
    expect(result()).toMatch(pattern);
    expect(area().value).toBe('1');
    expect(host.callsOf('get').length).toBeGreaterThan(1);
  });

  it('has no links for a user without permission to execute', async () => {
    const pause = makePause('suspend', 'ask', { resume_url: null, cancel_url: null });
    await showRun(new FakeHost(makeWaiting('r1', { pause })));
    expect(shownText(root)).not.toMatch(/Resume link|Cancel link|null/);
  });

  it('copies the links of the current pause', async () => {
    const copied: string[] = [];
    const clipboard = { writeText: (text: string) => Promise.resolve(void copied.push(text)) };
    Object.defineProperty(navigator, 'clipboard', { value: clipboard, configurable: true });
    await showRun(new FakeHost(makeWaiting('r1')));
    buttonOf(root, 'Copy the resume link').click();
    await settle(100);
    expect(copied).toEqual(['http://h/pdflow/resume/r1']);
    expect(one(root, '.jp-PDFlow-copy-status').textContent).toBe('Copied');
    await settle(3000);
    expect(root.querySelector('.jp-PDFlow-copy-status')).toBeNull();
  });
});

describe('live changes', () => {
  it('keep the input and the focus', async () => {
    const host = new FakeHost(makeWaiting('r1'));
    await showRun(host);
    const field = area();
    field.focus();
    type(field, '{"half');
    host.change({ ...makeWaiting('r1'), usage: { credits: 9, compute_ms: 1, paused_ms: 1 } });
    await settle();
    expect(shownText(root)).toContain('Credits 9');
    expect(area()).toBe(field);
    expect(field.value).toBe('{"half');
    expect(document.activeElement).toBe(field);
  });

  it('move the focus from hidden elements to an explanation', async () => {
    const host = new FakeHost(makeWaiting('r1'));
    await showRun(host);
    area().focus();
    await host.resume('r1', null);
    await settle();
    expect(document.activeElement?.textContent).toBe('The run is no longer paused.');
    buttonOf(root, 'Cancel…').click();
    await host.cancel('r1', null);
    await settle();
    expect(document.activeElement).toBe(one(root, '.jp-PDFlow-result'));
  });

  it('show a warning if the run now waits at another step', async () => {
    const host = new FakeHost(makeWaiting('r1'));
    await showRun(host);
    type(area(), '{"a": 1}');
    const pause = makePause('suspend', 'pay');
    host.change({ ...makeWaiting('r1'), pause });
    await settle();
    expect(one(root, '.jp-PDFlow-warning').textContent).toMatch(/at step pay/);
    expect(area().value).toBe('{"a": 1}');
  });

  it('keep trees expanded', async () => {
    const host = new FakeHost(makeWaiting('r1', { event: { a: { b: 1 } } }));
    await showRun(host);
    const details = one<HTMLDetailsElement>(root, 'details');
    details.open = true;
    host.change({ ...makeWaiting('r1', { event: { a: { b: 1 } } }) });
    await settle();
    expect(one<HTMLDetailsElement>(root, 'details')).toBe(details);
    expect(details.open).toBe(true);
  });

  it('of other runs are ignored', async () => {
    const host = new FakeHost(makeRun('r1'), makeRun('r2'));
    await showRun(host);
    host.change(makeRun('r2'));
    await settle();
    expect(host.callsOf('get')).toEqual(['get r1']);
  });

  it('update the time of a running step', async () => {
    const started_at = '2026-11-22T11:59:30Z';
    const steps = [{ name: 'ask', status: 'running' as const, started_at, runs: 1 }];
    const host = new FakeHost(makeRun('r1', { steps }));
    await showRun(host);
    await settle(10_000);
    expect(one(root, '.jp-PDFlow-step-duration').textContent).toBe('40 s');
  });
});

describe('the bars of a run', () => {
  function bars(): (string | undefined)[] {
    const shown = [...root.querySelectorAll<HTMLElement>('.jp-PDFlow-bar')];
    return shown.map(({ style }) => `${style.marginInlineStart} ${style.inlineSize}`);
  }

  it('start with the first step, without the time in the queue', async () => {
    const steps = [
      { name: 'ask', status: 'succeeded' as const, runs: 1, started_at: at(10), ended_at: at(15) },
      { name: 'pay', status: 'succeeded' as const, runs: 1, started_at: at(15), ended_at: at(20) }
    ];
    const times = { created_at: at(0), updated_at: at(20) };
    await showRun(new FakeHost(makeRun('r1', { status: 'succeeded', steps, ...times })));
    expect(bars()).toEqual(['0% 51%', '49% 51%']);
  });

  it('extend to the current time while the run is active', async () => {
    const steps = [
      { name: 'ask', status: 'succeeded' as const, runs: 1, started_at: at(58), ended_at: at(59) },
      { name: 'pay', status: 'running' as const, runs: 1, started_at: at(59) }
    ];
    await showRun(new FakeHost(makeRun('r1', { steps, created_at: at(58), updated_at: at(59) })));
    vi.setSystemTime(new Date('2026-11-22T12:02:00Z'));
    await settle(1000);
    expect(bars()[1]).toMatch(/^24\.\d+% 75\.\d+%$/);
  });
});

describe('one step', () => {
  const steps: Partial<Run['steps'][number]>[] = [
    { name: 'ask', status: 'succeeded', runs: 1, started_at: at(0), ended_at: at(1) },
    { name: 'pay', status: 'paused', runs: 1, started_at: at(1) }
  ];
  const run = makeWaiting('r1', { steps, pause: makePause('suspend', 'pay') });

  it('has the buttons if it waits', async () => {
    const host = new FakeHost(run);
    await showRun(host, 'pay');
    expect(shownText(root)).toContain('pay Waiting');
    expect(shownText(root)).not.toContain('Succeeded');
    buttonOf(root, 'Resume').click();
    await settle();
    expect(result()).toBe('Resumed.');
  });

  it('has no buttons if it does not wait', async () => {
    await showRun(new FakeHost(run), 'ask');
    expect(shownText(root)).toContain('ask Succeeded 1 min');
    expect(() => buttonOf(root, 'Resume')).toThrow();
    expect(() => buttonOf(root, 'Cancel…')).toThrow();
  });

  it('shows that the run does not have the step', async () => {
    await showRun(new FakeHost(run), 'other');
    expect(root.textContent).toContain('The run has no step other.');
  });
});
