import { Notification } from '@jupyterlab/apputils';
import type { RunChange } from '../core/types';
import type { IWorkflows } from './tokens';
import type { WaitingRun } from './waiting-runs';

const AUTO_CLOSE_MS = 10_000;
const MAX_REMEMBERED = 1000;

/** Notifies the user when a run starts to wait for a person, and when a run fails. */
export class Notifier {
  /** Whether to show notifications. */
  enabled = true;
  private readonly notificationIds = new Map<string, string>();
  private readonly failed = new Set<string>();

  /** @param workflows - emits the changes of runs */
  constructor(private readonly workflows: IWorkflows) {
    workflows.waiting.waitStarted.connect((_, run) => this.notifyWaiting(run));
    workflows.waiting.waitEnded.connect((_, run) => this.dismiss(run.id));
    workflows.host.onChange(change => {
      if (change?.status === 'failed') {
        this.notifyFailed(change);
      }
    });
  }

  private notifyWaiting(run: WaitingRun): void {
    if (this.enabled) {
      const message = `${run.workflow} waits for you at step ${run.step}.`;
      this.notificationIds.set(run.id, Notification.info(message, this.options(run.id)));
    }
  }

  private notifyFailed(change: RunChange): void {
    if (!this.enabled || this.failed.has(change.run_id)) {
      return;
    }
    if (this.failed.size >= MAX_REMEMBERED) {
      this.failed.clear();
    }
    this.failed.add(change.run_id);
    const message = `${change.workflow_name} failed at step ${change.step}.`;
    Notification.error(message, this.options(change.run_id));
  }

  private dismiss(runId: string): void {
    const id = this.notificationIds.get(runId);
    if (id !== undefined) {
      this.notificationIds.delete(runId);
      Notification.dismiss(id);
    }
  }

  private options(runId: string): Notification.IOptions<null> {
    const callback = (): void => this.workflows.open(runId);
    return {
      autoClose: AUTO_CLOSE_MS,
      actions: [{ label: 'Open', caption: 'Open the run in the panel', callback }]
    };
  }
}
