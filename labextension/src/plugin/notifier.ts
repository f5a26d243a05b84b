import { Notification } from '@jupyterlab/apputils';
import type { RunChange } from '../core/types';
import type { Workflows } from './tokens';
import type { WaitingRun } from './waiting-runs';

const SHOWN_MS = 10_000;
const MOST_REMEMBERED = 1000;

/** Tells when a run starts to wait for a person, and when one fails. */
export class Notifier {
  /** Whether to tell at all. */
  enabled = true;
  private readonly shown = new Map<string, string>();
  private readonly failed = new Set<string>();

  /** @param workflows - the runs */
  constructor(private readonly workflows: Workflows) {
    workflows.waiting.began.connect((_, run) => this.tellWaiting(run));
    workflows.waiting.ended.connect((_, run) => this.withdraw(run.id));
    workflows.host.onChange(change => {
      if (change?.status === 'failed') {
        this.tellFailed(change);
      }
    });
  }

  private tellWaiting(run: WaitingRun): void {
    if (this.enabled) {
      const message = `${run.workflow} waits for you at step ${run.step}.`;
      this.shown.set(run.id, Notification.info(message, this.options(run.id)));
    }
  }

  private tellFailed(change: RunChange): void {
    if (!this.enabled || this.failed.has(change.run_id)) {
      return;
    }
    if (this.failed.size >= MOST_REMEMBERED) {
      this.failed.clear();
    }
    this.failed.add(change.run_id);
    const message = `${change.workflow_name} failed at step ${change.step}.`;
    Notification.error(message, this.options(change.run_id));
  }

  private withdraw(runId: string): void {
    const id = this.shown.get(runId);
    if (id !== undefined) {
      this.shown.delete(runId);
      Notification.dismiss(id);
    }
  }

  private options(runId: string): Notification.IOptions<null> {
    const callback = (): void => this.workflows.open(runId);
    return {
      autoClose: SHOWN_MS,
      actions: [{ label: 'Open', caption: 'Open the run in the panel', callback }]
    };
  }
}
