import { Notification } from '@jupyterlab/apputils';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LiveRuns } from '../../src/core/live-runs';
import { Notifier } from '../../src/plugin/notifier';
import type { IWorkflows } from '../../src/plugin/tokens';
import { WaitingRuns } from '../../src/plugin/waiting-runs';
import { FakeHost, makeError, makePause, makeRun, makeWaiting } from '../core/fake-host';
import { settle } from '../core/helpers';

// The package's real notifications, without its other modules, which need a page of JupyterLab.
vi.mock('@jupyterlab/apputils', () => import('@jupyterlab/apputils/lib/notification'));

let host: FakeHost;
let notifier: Notifier;
let opened: (string | undefined)[];
let shown: string[];
let inFront: string;

/** The toasts, oldest first: their texts, each with the label of its action. */
function toasts(): string[] {
  const all = [...Notification.manager.notifications].reverse();
  return all.map(({ message, options }) => `${message} [${options.actions?.[0]?.label}]`);
}

function press(): void {
  Notification.manager.notifications[0].options.actions?.[0].callback(new MouseEvent('click'));
}

function fail(id: string, title: string | null = null): void {
  host.change(makeRun(id, { status: 'failed', error: makeError('pay'), title }));
}

function wait(id: string, title: string | null = null): void {
  host.change(makeWaiting(id, { title }));
}

beforeEach(async () => {
  vi.useFakeTimers({ now: new Date('2026-11-22T12:00:00Z') });
  Notification.dismiss();
  host = new FakeHost(makeWaiting('old'));
  opened = [];
  shown = [];
  inFront = '';
  const waiting = new WaitingRuns(new LiveRuns(host));
  const open = (id?: string): void => void opened.push(id);
  const workflows = { host, waiting, open } as unknown as IWorkflows;
  notifier = new Notifier(
    workflows,
    status => void shown.push(status),
    run => run === inFront
  );
  await settle();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('one event', () => {
  it('has its own text, and opens the run', async () => {
    wait('a', 'Invoice 1');
    await settle();
    expect(toasts()).toEqual(['Invoice 1: approve-invoice waits for you at step ask. [Open]']);
    press();
    expect(opened).toEqual(['a']);
    await host.resume('a', null);
    await settle();
    expect(toasts()).toEqual([]);
  });

  it('says nothing of a run whose page is in front', async () => {
    inFront = 'a';
    wait('a');
    fail('b');
    await settle(3000);
    expect(toasts()).toEqual(['approve-invoice failed at step ask. [Open]']);
  });

  it('says who is asked, and which step has failed', async () => {
    const pause = makePause('suspend', 'ask', { approvers: ['ada', 'bob'] });
    host.change(makeWaiting('a', { pause }));
    await settle(3000);
    fail('b', 'Is it paid?');
    await settle(3000);
    fail('b');
    await settle();
    expect(toasts()).toEqual([
      'approve-invoice waits for ada or bob at step ask. [Open]',
      'Is it paid? approve-invoice failed at step ask. [Open]'
    ]);
  });

  it('is not shown if notifications are off', async () => {
    notifier.enabled = false;
    wait('a');
    fail('b');
    await settle();
    expect(toasts()).toEqual([]);
  });
});

describe('several events', () => {
  it('share a toast, which counts them and shows the list', async () => {
    wait('a');
    await settle(1000);
    fail('b');
    wait('c');
    await settle();
    expect(toasts()).toEqual(['2 runs wait for a person · 1 failed [Show]']);
    press();
    expect(shown).toEqual(['']);
  });

  it('of one kind show the runs with that status', async () => {
    fail('a');
    fail('b');
    await settle();
    expect(toasts()).toEqual(['2 runs failed [Show]']);
    press();
    expect(shown).toEqual(['failed']);
    wait('c');
    await host.resume('c', null);
    await settle();
    expect(toasts()).toEqual(['2 runs failed [Show]']);
  });

  it('stay at one toast in a storm', async () => {
    const added: string[] = [];
    const count = (_: unknown, { type }: { type: string }): void => void added.push(type);
    Notification.manager.changed.connect(count);
    for (let at = 0; at < 300; at += 1) {
      (at % 2 ? fail : wait)(`run-${1000 + at}`);
      await settle(100);
    }
    await settle();
    Notification.manager.changed.disconnect(count);
    expect(toasts()).toEqual(['150 runs wait for a person · 150 failed [Show]']);
    expect(added.filter(type => type === 'added')).toHaveLength(1);
    expect(host.calls).not.toContain('get run-1005');
  });

  it('that no longer wait are not counted', async () => {
    wait('a');
    wait('b');
    await settle();
    expect(toasts()).toEqual(['2 runs wait for a person [Show]']);
    await host.resume('a', null);
    await settle();
    expect(toasts()).toEqual(['1 run waits for a person [Show]']);
    await host.resume('b', null);
    await settle();
    expect(toasts()).toEqual([]);
  });

  it('begin anew once the user has closed the toast', async () => {
    fail('a');
    fail('b');
    await settle();
    Notification.dismiss();
    fail('c');
    await settle();
    expect(toasts()).toEqual(['approve-invoice failed at step ask. [Open]']);
  });

  it('that do not follow soon have toasts of their own', async () => {
    fail('a');
    await settle(2500);
    fail('b');
    await settle();
    expect(toasts()).toHaveLength(2);
  });
});
