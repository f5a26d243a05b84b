import { Notification } from '@jupyterlab/apputils';
import { listNames } from '../core/decisions';
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
        void this.notifyFailed(change);
      }
    });
  }

  private notifyWaiting(run: WaitingRun): void {
    if (this.enabled) {
      const { title, workflow, step, approvers } = run;
      const who = approvers.length === 0 ? 'you' : listNames(approvers, 'or');
      const message = withTitle(title, `${workflow} waits for ${who} at step ${step}.`);
      this.notificationIds.set(run.id, Notification.info(message, this.options(run.id)));
    }
  }

  private async notifyFailed(change: RunChange): Promise<void> {
    if (!this.enabled || this.failed.has(change.run_id)) {
      return;
    }
    if (this.failed.size >= MAX_REMEMBERED) {
      this.failed.clear();
    }
    this.failed.add(change.run_id);
    const { run_id: id, workflow_name: workflow, step } = change;
    const title = await this.workflows.host.get(id).then(
      run => run.title,
      () => null
    );
    const message = withTitle(title, `${workflow} failed at step ${step}.`);
    Notification.error(message, this.options(id));
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

/** Return a message after a run's title, which may be a sentence of its own. */
function withTitle(title: string | null, message: string): string {
  if (title === null) {
    return message;
  }
  return /[.:!?…]$/.test(title) ? `${title} ${message}` : `${title}: ${message}`;
}
