import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { mount } from '../../../src/core/component';
import { ApiError } from '../../../src/core/host';
import { LiveRuns } from '../../../src/core/live-runs';
import {
  askedText,
  asks,
  decisionList,
  listNames,
  missingText
} from '../../../src/core/run/decisions';
import { runPage } from '../../../src/core/run/run-page';
import type { Decision, Pause, Run } from '../../../src/core/types';
import { FakeHost, makeDecider, makePause, makeRun, makeWaiting } from '../fake-host';
import { buttonOf, makeRoot, one, settle, shownText, type } from '../helpers';

const FORM = {
  type: 'object',
  properties: { amount: { type: 'integer' }, urgent: { type: 'boolean' } },
  required: ['amount']
};

let root: HTMLElement;
let unmount: (() => void) | null = null;
let host: FakeHost;

/** Show a run that asks something. */
async function show(props: Partial<Pause> = {}): Promise<Pause> {
  const pause = makePause('suspend', 'ask', { message: 'Pay?', message_html: 'Pay?', ...props });
  await showRun(makeWaiting('r1', { pause }));
  return pause;
}

async function showRun(run: Run): Promise<void> {
  host = new FakeHost(run);
  unmount = mount(root, runPage({ runs: new LiveRuns(host), id: 'r1' }));
  await settle();
}

function result(): string {
  return one(root, '.jp-PDFlow-actions .jp-PDFlow-result').textContent.trim();
}

function amount(): HTMLInputElement {
  return one<HTMLInputElement>(root, '[name=amount]');
}

function note(): HTMLTextAreaElement {
  return one<HTMLTextAreaElement>(root, '.jp-PDFlow-prose');
}

async function press(label: string): Promise<void> {
  buttonOf(root, label).focus();
  buttonOf(root, label).click();
  await settle();
}

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-22T12:00:00Z') });
  root = makeRoot();
});

afterEach(() => {
  unmount?.();
  unmount = null;
  vi.useRealTimers();
});

describe('what is asked', () => {
  it('is shown as HTML that the server has made, with links that open elsewhere', async () => {
    const message_html = '<h3>Pay?</h3><p>See <a href="https://example.org/">this</a>.</p>';
    await show({ message_html });
    expect(one(root, '.jp-PDFlow-message h3').textContent).toBe('Pay?');
    expect(one<HTMLAnchorElement>(root, '.jp-PDFlow-message a').target).toBe('_blank');
  });

  it('names who is asked, who has approved and who has not, and the emails that fail', async () => {
    const at = '2026-11-22T11:20:00Z';
    await show({
      approvers: ['ada', 'grace', 'bob@example.org', 'group:law'],
      required: 3,
      approvals: [makeDecider({ name: 'ada', at, note: 'ok' }), makeDecider({ name: 'grace', at })],
      waiting_for: ['bob@example.org', 'group:law'],
      undelivered: { 'bob@example.org': 'No such mailbox.' },
      on_timeout: 'cancel'
    });
    const text = shownText(one(root, '.jp-PDFlow-pause'));
    expect(text).toContain(
      'Step ask asks ada, grace, bob@example.org and the group law; 3 of them have to approve.'
    );
    expect(text).toMatch(
      /ada approved, \S+( [AP]M)? \(“ok”\) ; grace approved, \S+( [AP]M)? ; one more has to approve \./
    );
    expect(text).toContain('Waiting for bob@example.org and the group law .');
    expect(text).toContain('The email to bob@example.org can’t be sent: No such mailbox.');
    expect(text).toMatch(/time runs out in 1 h \( .* \) ; then the run is canceled\./);
    expect(text).toContain('A rejection ends the run.');
    // The links decide nothing.
    expect(text).not.toContain('Resume link');
  });

  it.each([
    [['ada'], 1, 'Step ask asks ada.'],
    [['ada', 'bob'], 1, 'Step ask asks ada or bob; one approval is enough.'],
    [['group:law'], 1, 'Step ask asks the group law; one approval is enough.'],
    [['group:law'], 2, 'Step ask asks the group law; 2 of them have to approve.'],
    [[], 1, 'Step ask waits for a person.']
  ])('is worded for %j, %d required', (approvers, required, text) => {
    expect(askedText(makePause('suspend', 'ask', { approvers, required }))).toBe(text);
  });

  it('is a question only with a message, a form or approvers', () => {
    expect(asks(makePause('suspend', 'ask'))).toBe(false);
    expect(asks(makePause('suspend', 'ask', { form: FORM }))).toBe(true);
    expect(asks(makePause('suspend', 'ask', { approvers: ['ada'] }))).toBe(true);
    expect(asks(makePause('delay', 'ask', { message: 'x' }))).toBe(false);
    expect(asks(null)).toBe(false);
  });

  it('says how many approvals are missing', () => {
    const approvals = [makeDecider()];
    expect(missingText(makePause('suspend', 'a', { required: 3, approvals }))).toBe(
      '2 more have to approve'
    );
    expect(listNames([], 'and')).toBe('');
  });
});

describe('approve and reject', () => {
  it('sends the fields of the form and the note', async () => {
    await show({ form: FORM });
    expect(root.querySelector('textarea.jp-PDFlow-payload')).toBeNull();
    type(amount(), '7');
    type(note(), ' looks good ');
    await press('Approve');
    expect([host.sent, host.notes]).toEqual([[{ amount: 7, urgent: false }], ['looks good']]);
    expect(result()).toBe('Approved.');
    expect(document.activeElement).toBe(one(root, '.jp-PDFlow-actions .jp-PDFlow-result'));
  });

  it('shows an invalid answer at its field, and keeps the input', async () => {
    await show({ form: FORM });
    type(amount(), '7');
    const errors = [
      { field: 'amount', message: 'At most 5.' },
      { field: '', message: 'Odd.' }
    ];
    host.errors.resume = new ApiError('The answer is not valid.', 'invalid_answer', 422, errors);
    await press('Approve');
    expect(amount().value).toBe('7');
    expect(amount().getAttribute('aria-invalid')).toBe('true');
    expect(document.activeElement).toBe(amount());
    expect(result()).toBe('Correct the marked fields. Odd.');
    delete host.errors.resume;
    type(amount(), '5');
    await press('Approve');
    expect(result()).toBe('Approved.');
  });

  it('does not send what the browser can’t read', async () => {
    await show({ form: FORM });
    Object.defineProperty(amount(), 'validity', { value: { badInput: true } });
    type(amount(), '');
    await press('Approve');
    expect(host.callsOf('resume')).toEqual([]);
    expect(document.activeElement).toBe(amount());
    expect(result()).toBe('Correct the marked fields.');
  });

  it('answers with JSON if there is no form', async () => {
    await show();
    await press('Answer with data…');
    const area = one<HTMLTextAreaElement>(root, '.jp-PDFlow-payload');
    expect(document.activeElement).toBe(area);
    type(area, '{"a": 1}');
    await press('Approve');
    expect([host.sent, host.notes]).toEqual([[{ a: 1 }], [null]]);
  });

  it('says that an approval is counted while more are required', async () => {
    await show({ approvers: ['ada', 'bob', 'eve'], required: 3 });
    await press('Approve');
    expect(result()).toBe('Your approval is counted; 2 more have to approve.');
    expect(shownText(root)).toMatch(/Ada approved, .*; 2 more have to approve\./);
    expect(buttonOf(root, 'Approve')).toBeTruthy();
  });

  it('keeps up with the others what is said about a counted approval', async () => {
    await show({ approvers: ['ada', 'bob', 'eve'], required: 3 });
    await press('Approve');
    const text = one(root, '.jp-PDFlow-actions .jp-PDFlow-result');
    await host.resume('r1', null);
    await settle();
    expect(result()).toBe('Your approval is counted; one more has to approve.');
    await host.reject('r1', null);
    await settle();
    expect(result()).toBe('Your approval was counted.');
    expect(document.activeElement).toBe(text);
  });

  it.each([
    ['Only ada can decide this; not bob.', 'approvers_only', 403],
    ['You have approved this already; one more has to approve.', 'already_answered', 410]
  ])('shows why it is refused: %s', async (message, reason, status) => {
    await show({ approvers: ['ada'] });
    host.errors.resume = host.errors.reject = new ApiError(message, reason, status);
    await press('Approve');
    expect(result()).toBe(message);
    await press('Reject');
    expect(result()).toBe(message);
    expect(host.callsOf('reject')).toHaveLength(1);
  });

  it('rejects with a note', async () => {
    await show();
    type(note(), 'too dear');
    await press('Reject');
    expect(host.notes).toEqual(['too dear']);
    expect(result()).toBe('Rejected. No later step is executed.');
  });

  it('rejects, and the run continues if the step says so', async () => {
    await show({ on_reject: 'resume' });
    expect(shownText(root)).toContain('After a rejection the run continues.');
    await press('Reject');
    expect(result()).toBe('Rejected. The run continues.');
  });

  it('leaves the operator a way to cancel the run', async () => {
    await show({ approvers: ['ada'] });
    await press('Cancel run…');
    await press('Cancel this run');
    expect(host.callsOf('cancel')).toHaveLength(1);
    expect(result()).toBe('Canceled. No later step is executed.');
  });

  it('is named resume and cancel if nothing is asked, with a note if one wants', async () => {
    await show({ message: null, message_html: null });
    expect(() => buttonOf(root, 'Reject')).toThrow();
    await press('Add a note…');
    type(note(), 'as agreed');
    await press('Resume');
    expect(host.notes).toEqual(['as agreed']);
    expect(result()).toBe('Resumed.');
  });
});

describe('what was entered', () => {
  it('stays while the run changes', async () => {
    const since = '2026-11-22T10:00:00Z';
    const pause = await show({ form: FORM, since, approvers: ['ada', 'bob'], required: 2 });
    const field = amount();
    type(field, '7');
    type(note(), 'half a sen');
    field.focus();
    const changed = {
      ...pause,
      approvals: [makeDecider()],
      approvers: [...pause.approvers, 'eve'],
      form: structuredClone(FORM)
    };
    host.change({ ...makeWaiting('r1'), pause: changed });
    await settle();
    expect(shownText(root)).toContain('Ada approved');
    // The pause is as old as before.
    expect(shownText(root)).toContain('Paused 2 h');
    expect(amount()).toBe(field);
    expect([field.value, note().value]).toEqual(['7', 'half a sen']);
    expect(document.activeElement).toBe(field);
    expect(one(root, '.jp-PDFlow-answer').hasAttribute('data-edited')).toBe(true);
  });

  it('stays when the view is drawn again, until it is sent', async () => {
    const props = { form: FORM, since: '2026-11-22T09:30:00Z' };
    await show(props);
    type(amount(), '7');
    one<HTMLInputElement>(root, '[name=urgent]').click();
    type(note(), 'half a sen');
    unmount?.();
    await show(props);
    expect([amount().value, note().value]).toEqual(['7', 'half a sen']);
    await press('Approve');
    expect([host.sent, host.notes]).toEqual([[{ amount: 7, urgent: true }], ['half a sen']]);
    unmount?.();
    await show(props);
    expect([amount().value, note().value]).toEqual(['', '']);
    unmount?.();
    await show({ ...props, since: '2026-11-22T09:40:00Z' });
    expect(amount().value).toBe('');
  });

  it('stays in a folded field, which is then open', async () => {
    const props = { since: '2026-11-22T09:30:00Z' };
    await show(props);
    await press('Answer with data…');
    type(one<HTMLTextAreaElement>(root, '.jp-PDFlow-payload'), '{"a":');
    unmount?.();
    await show(props);
    const area = one<HTMLTextAreaElement>(root, '.jp-PDFlow-payload');
    expect([area.value, area.closest('[hidden]')]).toEqual(['{"a":', null]);
    expect(buttonOf(root, 'Approve').disabled).toBe(true);
    type(area, '');
  });

  it('is not sent to another question', async () => {
    await show({ form: FORM });
    type(amount(), '7');
    type(note(), 'for the first');
    amount().focus();
    const since = '2026-11-22T12:00:01Z';
    const pause = makePause('suspend', 'ask', { form: FORM, since });
    host.change({ ...makeWaiting('r1'), pause });
    await settle();
    expect([amount().value, note().value]).toEqual(['', '']);
    expect(one(root, '.jp-PDFlow-warning').textContent).toBe(
      'The run now waits at step ask. What you entered for the earlier question was not sent.'
    );
    expect(document.activeElement).toBe(one(root, '.jp-PDFlow-actions .jp-PDFlow-result'));
    expect(result()).toBe('The run now waits at step ask.');
  });

  it('counts as sent or useless when the pause has ended', async () => {
    await show({ form: FORM });
    type(amount(), '7');
    await host.resume('r1', {});
    await settle();
    expect(root.querySelector('[data-edited]')).toBeNull();
  });
});

it('names the step of the next question beside the result of the last', async () => {
  await show();
  await press('Approve');
  const pause = makePause('suspend', 'pay', { message: 'Sure?', message_html: 'Sure?' });
  host.change({ ...makeWaiting('r1'), pause });
  await settle();
  expect(result()).toBe('Approved. The run now waits at step pay.');
});

describe('decisions', () => {
  const at = '2026-11-22T11:10:00Z';
  const makeDecision = (props: Partial<Decision>): Decision => {
    return { step: 'ask', outcome: 'approved', at, by: [makeDecider({ at })], ...props };
  };

  function texts(selector: string): string[] {
    const items = root.querySelectorAll(`${selector} li`);
    return [...items].map(item => item.textContent.replace(/\d\d:\d\d( [AP]M)?/, 'TIME').trim());
  }

  function decided(...decisions: Decision[]): string[] {
    unmount = mount(root, decisionList(decisions));
    return texts('.jp-PDFlow-decisions');
  }

  it.each([
    [{ by: [makeDecider({ note: 'fine' })] }, 'Approved by Ada, TIME, from JupyterLab: fine'],
    [
      { by: [makeDecider({ name: 'a@b.org', via: 'link', verified: false })] },
      'Approved by a@b.org, TIME, by a link'
    ],
    [
      { outcome: 'resumed', by: [makeDecider({ name: null, via: 'link' })] },
      'Resumed by a link, TIME'
    ],
    [
      { outcome: 'resumed', by: [makeDecider({ name: null, via: 'api' })] },
      'Resumed from the API, TIME'
    ],
    [
      { outcome: 'rejected', by: [makeDecider({ via: 'cli' })] },
      'Rejected by Ada, TIME, from the command line'
    ],
    [
      { outcome: 'timed_out', by: [makeDecider({ name: null, via: 'timer' })] },
      'The time ran out, TIME'
    ],
    [{ outcome: 'canceled', by: [] }, 'Canceled, TIME']
  ] as [Partial<Decision>, string][])('reads %j as %s', (props, text) => {
    expect(decided(makeDecision(props))).toEqual([text]);
  });

  it('names everyone who has approved', () => {
    const by = [makeDecider(), makeDecider({ name: 'Bob' })];
    expect(decided(makeDecision({ by }))).toHaveLength(2);
  });

  it('are listed the newest first, and the older ones on request', () => {
    const all = [1, 2, 3, 4, 5].map(n =>
      makeDecision({ outcome: 'resumed', by: [makeDecider({ name: `p${n}` })] })
    );
    const names = decided(...all).map(text => /by (\S+),/.exec(text)?.[1]);
    expect(names).toEqual(['p5', 'p4', 'p3', 'p2', 'p1']);
    expect(one(root, '.jp-PDFlow-decisions summary').textContent).toBe('2 earlier');
  });

  it('are not repeated as the reason of the run', async () => {
    const by = [makeDecider({ note: 'too dear' })];
    const decisions = [makeDecision({ outcome: 'rejected', by })];
    await showRun(makeRun('r1', { status: 'canceled', reason: 'too dear', decisions }));
    expect(shownText(root)).toContain(': too dear');
    expect(shownText(root)).not.toContain('Reason:');
    host.change(makeRun('r1', { status: 'canceled', reason: 'twice', decisions }));
    await settle();
    expect(shownText(root)).toContain('Reason: twice');
  });

  it('are said on top of the run once it waits no more: the newest one', async () => {
    const by = [makeDecider({ note: 'looks good' })];
    const decisions = [makeDecision({ outcome: 'rejected' }), makeDecision({ by })];
    await showRun(makeRun('r1', { decisions }));
    expect(texts('.jp-PDFlow-decided')).toEqual([
      'Approved by Ada, TIME, from JupyterLab: looks good'
    ]);
    const pause = makePause('suspend', 'ask');
    host.change(makeWaiting('r1', { decisions, pause }));
    await settle();
    expect(root.querySelector('.jp-PDFlow-decided')).toBeNull();
    const others = [...decisions, makeDecision({ step: 'pay', by: [] })];
    host.change(makeRun('r1', { decisions: others }));
    await settle();
    expect(texts('.jp-PDFlow-decided')).toEqual(['Approved, TIME (step pay)']);
  });
});
