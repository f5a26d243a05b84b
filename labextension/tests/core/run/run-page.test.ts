import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { mount } from '../../../src/core/component';
import { ApiError } from '../../../src/core/host';
import { LiveRuns } from '../../../src/core/live-runs';
import { runPage } from '../../../src/core/run/run-page';
import { isTicking } from '../../../src/core/ticker';
import type { Email, HistoryEntry } from '../../../src/core/types';
import { FakeHost, makeError, makePause, makeRun, makeWaiting } from '../fake-host';
import { buttonOf, makeRoot, one, settle, shownText, type } from '../helpers';

let root: HTMLElement;
let unmount: (() => void) | null = null;

async function showRun(host: FakeHost): Promise<void> {
  unmount = mount(root, runPage({ runs: new LiveRuns(host), id: 'r1' }));
  await settle();
}

function area(): HTMLTextAreaElement {
  return one<HTMLTextAreaElement>(root, 'textarea');
}

function result(): string {
  return one(root, '.jp-PDFlow-actions .jp-PDFlow-result').textContent.trim();
}

async function press(label: string): Promise<void> {
  buttonOf(root, label).click();
  await settle();
}

/** Open a tab, by the beginning of its label. */
async function openTab(label: string): Promise<HTMLElement> {
  const all = [...root.querySelectorAll<HTMLElement>('[role=tab]')];
  all.find(tab => shownText(tab).startsWith(label))?.click();
  await settle();
  return one(root, '[role=tabpanel]');
}

function at(minute: number): string {
  return `2026-11-22T11:${String(minute).padStart(2, '0')}:00Z`;
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

describe('a run', () => {
  it('shows its usage, its steps with durations, and the error', async () => {
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
    expect(text).toContain('ask Succeeded 5 min pay Failed 1 min end Skipped');
    expect(one(root, '.jp-PDFlow-failed').textContent).toMatch(/pay failed.*no such customer/);
    expect(text).toContain('Exports 1');
  });

  it('shows the reason of a canceled run, and no buttons', async () => {
    await showRun(new FakeHost(makeRun('r1', { status: 'canceled', reason: 'Twice' })));
    expect(shownText(root)).toContain('Reason: Twice');
    expect(() => buttonOf(root, 'Cancel…')).toThrow();
    expect(() => buttonOf(root, 'Resume')).toThrow();
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
    await settle();
    expect(buttonOf(root, 'Resume').disabled).toBe(true);
    expect(area().getAttribute('aria-invalid')).toBe('true');
    expect(one(root, '.jp-PDFlow-problem').textContent).toMatch(/not JSON yet.*double quotes/);
    type(area(), '{"a": 1}');
    await settle();
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
    expect(document.activeElement).toBe(one(root, '.jp-PDFlow-actions .jp-PDFlow-result'));
    expect(area().value).toBe('');
    expect(root.querySelector('.jp-PDFlow-pause')).toBeNull();
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
    await press('Cancel…');
    await press('Keep it');
    expect(document.activeElement).toBe(buttonOf(root, 'Cancel…'));
    await press('Cancel…');
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
    expect(document.activeElement?.textContent.trim()).toBe('The run is no longer paused.');
    buttonOf(root, 'Cancel…').focus();
    await host.cancel('r1', null);
    await settle();
    expect(document.activeElement).toBe(one(root, '.jp-PDFlow-actions .jp-PDFlow-result'));
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

  it('update the time and the bar of a running step', async () => {
    const started_at = '2026-11-22T11:59:30Z';
    const steps = [{ name: 'ask', status: 'running' as const, started_at, runs: 1 }];
    const host = new FakeHost(makeRun('r1', { steps }));
    await showRun(host);
    await settle(10_000);
    expect(one(root, '.jp-PDFlow-lane-time').textContent).toBe('40 s');
    expect(one(root, '.jp-PDFlow-bar').getAttribute('aria-label')).toMatch(
      /^ask: computing 40 s, since /
    );
  });
});

describe('the head', () => {
  it('shows the title, else the workflow, the version, the start and the duration', async () => {
    const props = { title: 'Invoice 7', started_by: { name: 'Ada', via: 'jupyter' as const } };
    const host = new FakeHost(
      makeRun('r1', { ...props, status: 'succeeded', created_at: at(0), ended_at: at(5) })
    );
    await showRun(host);
    expect(one(root, 'h3').textContent).toBe('Invoice 7');
    expect(shownText(one(root, '.jp-PDFlow-subtitle'))).toMatch(
      /^approve-invoice v3 started 11:00( AM)? by Ada took 5 min$/
    );
    expect(one(root, '.jp-PDFlow-subtitle [title]').title).toBe('Version 3f9c2a7be01d44aa');
    host.change(makeRun('r1', { created_at: at(0), version_number: null }));
    await settle();
    expect(one(root, 'h3').textContent).toBe('approve-invoice');
    expect(shownText(one(root, '.jp-PDFlow-subtitle'))).toMatch(/^version 3f9c2a7 started/);
  });

  it('leads from a failed step to its cell', async () => {
    const steps = [{ name: 'pay', status: 'failed' as const, error: makeError('pay') }];
    const host = new FakeHost(makeRun('r1', { status: 'failed', steps }));
    host.openCell = vi.fn();
    await showRun(host);
    await press('Go to cell');
    await press('Go to the cell of pay');
    const args = ['notebooks-approve-invoice', 'pay'];
    expect(vi.mocked(host.openCell).mock.calls).toEqual([args, args]);
  });
});

describe('the steps', () => {
  const entries = [
    ['begin', 'ask', at(0)],
    ['finish', 'ask', at(1)],
    ['begin', 'pay', at(1)],
    ['finish', 'pay', at(2)]
  ].map(([event, step, time], n): HistoryEntry => {
    const known = { execution: n, attempt: 1, by: null, via: null, note: null };
    return { n, at: time, event, step, ...known };
  });

  it('have bars that say when, and of which the keys reach each', async () => {
    const host = new FakeHost(makeRun('r1', { status: 'succeeded', ended_at: at(2) }));
    const more = entries.slice(0, 2).map(entry => ({ ...entry, execution: 9 }));
    host.historyBy.set('r1', [...entries, ...more]);
    await showRun(host);
    const bars = [
      ...one(root, '[aria-label="Times of ask"]').querySelectorAll<HTMLElement>('[role=img]')
    ];
    expect(bars.map(bar => bar.tabIndex)).toEqual([0, -1]);
    expect(bars[1].getAttribute('aria-label')).toMatch(/^ask, execution 2: computing 1 min, from /);
    bars[0].focus();
    bars[0].dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
    expect(document.activeElement).toBe(bars[1]);
  });

  it('are selected one at a time, and all at first', async () => {
    const host = new FakeHost(makeRun('r1', { steps: [{ name: 'ask' }, { name: 'pay' }] }));
    await showRun(host);
    expect(root.querySelectorAll('.jp-PDFlow-steps > li')).toHaveLength(2);
    one(root, '.jp-PDFlow-lane:last-child button').click();
    await settle();
    expect(one(root, '.jp-PDFlow-lane:last-child button').getAttribute('aria-pressed')).toBe(
      'true'
    );
    expect(root.querySelectorAll('.jp-PDFlow-steps > li')).toHaveLength(1);
    expect(shownText(root)).toContain('Only step pay is shown.');
    await press('Show all steps');
    expect(root.querySelectorAll('.jp-PDFlow-steps > li')).toHaveLength(2);
    expect(document.activeElement?.getAttribute('role')).toBe('tab');
  });

  it('show the failed one first', async () => {
    const steps = [
      { name: 'ask', status: 'succeeded' as const },
      { name: 'pay', status: 'failed' as const, error: makeError('pay') }
    ];
    await showRun(new FakeHost(makeRun('r1', { status: 'failed', steps })));
    expect(shownText(root)).toContain('Only step pay is shown.');
  });
});

describe('the tabs', () => {
  it('are reached with the arrow keys', async () => {
    await showRun(new FakeHost(makeRun('r1')));
    const tabs = [...root.querySelectorAll<HTMLElement>('[role=tab]')];
    expect(tabs.map(tab => tab.tabIndex)).toEqual([0, -1, -1, -1, -1, -1]);
    const press = async (key: string): Promise<string> => {
      document.activeElement?.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
      await settle();
      const selected = one(root, '[role=tab][aria-selected=true]');
      expect(document.activeElement).toBe(selected);
      expect(one(root, '[role=tabpanel]').getAttribute('aria-labelledby')).toBe(selected.id);
      return shownText(selected);
    };
    tabs[0].focus();
    expect(await press('ArrowLeft')).toBe('Code');
    expect(await press('ArrowRight')).toBe('Output');
    expect(await press('ArrowRight')).toBe('Exports');
    expect(await press('End')).toBe('Code');
    expect(await press('Home')).toBe('Output');
  });

  it('say what can’t be read, and harm nothing else', async () => {
    const host = new FakeHost(makeRun('r1'));
    host.errors.history = new ApiError('Odd.', 'error', 500);
    host.errors.emails = new ApiError('Odd, too.', 'error', 500);
    await showRun(host);
    expect(root.querySelector('[role=alert]')).toBeNull();
    expect((await openTab('Emails')).textContent).toContain('The emails can’t be shown. Odd, too.');
    expect((await openTab('History')).textContent).toContain('The history can’t be shown. Odd.');
    delete host.errors.history;
    await press('Try again');
    expect(one(root, '[role=tabpanel]').textContent).toContain('No history was kept');
  });

  it('keep what was entered while another one is shown', async () => {
    await showRun(new FakeHost(makeRun('r1', { event: { a: 1 } })));
    await openTab('Event');
    await press('Run again with changes…');
    type(area(), '{"a": 2');
    await openTab('Output');
    await openTab('Event');
    expect(area().value).toBe('{"a": 2');
  });
});

describe('run again', () => {
  it('starts a run with the same event, and opens it where the host can', async () => {
    const host = new FakeHost(makeRun('r1', { status: 'failed', event: { a: 1 } }));
    host.openRun = vi.fn();
    await showRun(host);
    await press('Run again…');
    expect(document.activeElement).toBe(buttonOf(root, 'Run again'));
    await press('Run again');
    expect(host.callsOf('start')).toEqual(['start notebooks-approve-invoice']);
    const started = [...host.runs.values()].at(-1);
    expect(started?.event).toEqual({ a: 1 });
    expect(host.openRun).toHaveBeenCalledWith(started?.id);
  });

  it('starts a run with another event, and shows it in place', async () => {
    const host = new FakeHost(makeRun('r1', { event: { a: 1 }, title: 'The first' }));
    await showRun(host);
    await openTab('Event');
    await press('Run again with changes…');
    expect(document.activeElement).toBe(area());
    expect(JSON.parse(area().value)).toEqual({ a: 1 });
    type(area(), '{"a": 2');
    await settle();
    expect(buttonOf(root, 'Start the run').disabled).toBe(true);
    type(area(), '{"a": 2}');
    await settle();
    await press('Start the run');
    expect([...host.runs.values()].at(-1)?.event).toEqual({ a: 2 });
    expect(document.activeElement).toBe(buttonOf(root, 'Show the new run'));
    await press('Show the new run');
    expect(one(root, 'h3').textContent).toBe('approve-invoice');
    await press('Back to the first run');
    expect(one(root, 'h3').textContent).toBe('The first');
  });

  it('says why it could not be started, and keeps the event', async () => {
    const host = new FakeHost(makeRun('r1'));
    host.errors.start = new ApiError('Too many runs.', 'limit', 429);
    await showRun(host);
    await openTab('Event');
    await press('Run again with changes…');
    type(area(), '7');
    await press('Start the run');
    expect(shownText(one(root, '.jp-PDFlow-event'))).toContain('Too many runs.');
    expect(area().value).toBe('7');
    await press('Don’t');
    expect(document.activeElement).toBe(buttonOf(root, 'Run again with changes…'));
  });
});

describe('the emails', () => {
  const email = (props: Partial<Email>): Email => {
    const known = { id: 'e1', run_id: 'r1', step: 'ask', to: ['a@b.org'], subject: 'Pay?' };
    const sent = { text: 'Hello', html: null, status: 'sent' as const, error: null };
    return { ...known, ...sent, created_at: at(0), ...props };
  };

  async function showEmails(...emails: Email[]): Promise<[FakeHost, HTMLElement]> {
    const host = new FakeHost(makeRun('r1', { status: 'succeeded' }));
    host.emailsBy.set('r1', emails);
    await showRun(host);
    return [host, await openTab('Emails')];
  }

  it('are counted and listed, with their text', async () => {
    const [, panel] = await showEmails(
      email({}),
      email({ id: 'e2', to: ['c@d.org', 'e@f.org'], status: 'kept' })
    );
    expect(shownText(one(root, '[role=tab][aria-selected=true]'))).toBe('Emails 2');
    expect(shownText(panel)).toMatch(/Pay\? Sent to a@b.org · step ask · 11:00( AM)? Hello/);
    expect(shownText(panel)).toContain('Not sent to c@d.org, e@f.org');
  });

  it('show HTML as its text only', async () => {
    const html =
      '<style>p {}</style><p>Hi <b>you</b></p><p>Bye</p><script>x</script><img src="https://x.org/i.png" onerror="alert(1)">';
    const [, panel] = await showEmails(email({ text: '', html }));
    expect(one(panel, 'pre').textContent.trim()).toBe('Hi you\nBye');
    expect(panel.querySelector('img, b')).toBeNull();
  });

  it('are sent again if they have failed, and followed until they are sent', async () => {
    const [host] = await showEmails(email({ status: 'failed', error: '550 No such mailbox.' }));
    expect(shownText(root)).toContain('550 No such mailbox.');
    await press('Send again');
    expect(host.callsOf('retryEmail')).toEqual(['retryEmail e1']);
    expect(shownText(root)).toMatch(/Queued.*It is sent again\./);
    host.emailsBy.set('r1', [email({ status: 'sent' })]);
    await settle(3000);
    expect(shownText(one(root, '.jp-PDFlow-emails .jp-PDFlow-badge'))).toBe('Sent');
    const reads = host.callsOf('emails').length;
    await settle(120_000);
    expect(host.callsOf('emails')).toHaveLength(reads);
  });

  it('say why they can’t be sent again', async () => {
    const [host] = await showEmails(email({ status: 'failed', error: '550' }));
    host.errors.retryEmail = new ApiError('It is being sent.', 'busy', 423);
    await press('Send again');
    expect(shownText(root)).toContain('It is being sent.');
    expect(buttonOf(root, 'Send again')).toBeTruthy();
  });
});

describe('the history', () => {
  it('is told in words, the newest first, and in part if it is long', async () => {
    const host = new FakeHost(makeRun('r1'));
    const entry = (n: number, event: string, props: Partial<HistoryEntry> = {}): HistoryEntry => {
      const known = { execution: 1, attempt: 1, by: null, via: null, note: null };
      return { n, at: at(n), event, step: 'ask', ...known, ...props };
    };
    host.historyBy.set('r1', [
      ...Array.from({ length: 60 }, (_, n) => entry(n % 60, 'begin', { attempt: n + 1 })),
      entry(1, 'finish', { note: 'It pauses: suspend, until 2026-11-23 10:00:00 UTC.' }),
      entry(2, 'approve', { by: 'Ada', via: 'jupyter', note: 'fine' })
    ]);
    await showRun(host);
    const panel = await openTab('History');
    const lines = [...panel.querySelectorAll('li')].map(shownText);
    expect(lines).toHaveLength(50);
    expect(lines[0]).toMatch(/Step ask was approved by Ada, from JupyterLab fine$/);
    expect(lines[1]).toMatch(/Step ask ended It waits for a person , until .*Nov/);
    await press('Show 12 earlier');
    expect(panel.querySelectorAll('li')).toHaveLength(62);
    expect(shownText(panel)).toContain('Step ask began, attempt 60');
  });
});
