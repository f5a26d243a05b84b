import type { Run } from '../../src/core/types';
import type { WidgetModel } from '../../src/widget/kernel-channel';
import { makePause, makeRun } from '../core/fake-host';

export interface SentMessage {
  id: string;
  method: string;
  args: unknown[];
}

type Reply = (sent: SentMessage) => object | null;

/** A widget's model with a kernel that replies at once. */
export class FakeModel implements WidgetModel {
  readonly sent: SentMessage[] = [];
  readonly listeners = new Set<(content: unknown) => void>();

  constructor(
    private readonly reply: Reply,
    private readonly traits: Record<string, unknown> = {}
  ) {}

  get(name: string): unknown {
    return this.traits[name];
  }

  send(content: unknown): void {
    const sent = content as SentMessage;
    this.sent.push(sent);
    const reply = this.reply(sent);
    if (reply !== null) {
      queueMicrotask(() => this.receive({ id: sent.id, ...reply }));
    }
  }

  on(_name: string, callback: (content: unknown) => void): void {
    this.listeners.add(callback);
  }

  off(_name: string, callback: (content: unknown) => void): void {
    this.listeners.delete(callback);
  }

  receive(content: unknown): void {
    this.listeners.forEach(listener => listener(content));
  }
}

/** Return what the server answers to a `GET` if there is only this run. */
export function answerTo(path: string, only: Run): unknown {
  if (path.startsWith('runs/counts')) {
    const statuses = { queued: 0, running: 0, paused: 1, succeeded: 0, failed: 0, canceled: 0 };
    return { statuses, waiting: 1, workflows: [] };
  }
  if (path.startsWith('runs?')) {
    return [only];
  }
  const part = path.split('/').at(2);
  if (part === undefined) {
    return only;
  }
  return part === 'outputs' ? {} : [];
}

/** Return a run that waits at its only step. */
export function run(id: string, over: Partial<Run> = {}): Run {
  const links = { resume_url: 'http://x/resume/key', cancel_url: 'http://x/cancel/key' };
  return makeRun(id, {
    workflow_id: 'w',
    workflow_name: 'w',
    version: '1',
    status: 'paused',
    steps: [{ name: 'ask', status: 'paused', runs: 1, started_at: '2026-11-22T10:00:00Z' }],
    pause: makePause('suspend', 'ask', { deadline: '2099-11-22T10:00:00Z', ...links }),
    usage: { credits: 1, compute_ms: 10, paused_ms: 0 },
    ...over
  });
}
