import { Notification } from '@jupyterlab/apputils';
import type { Filter } from '../core/filter';
import { formatCount } from '../core/formatting';
import { listNames } from '../core/run/decisions';
import type { RunChange } from '../core/types';
import type { IWorkflows } from './tokens';
import type { WaitingRun } from './waiting-runs';

const AUTO_CLOSE_MS = 10_000;
/** Events that follow one another in this time share a toast. */
const GATHER_MS = 2000;
/** How long further events of a gathered toast are waited for before its text changes. */
const UPDATE_MS = 200;
const MAX_REMEMBERED = 1000;

type Shown = 'failed' | 'waiting';

/** A toast, and the runs that it is about. */
interface Toast {
  /** The notification's id, or an empty string until it is shown. */
  id: string;
  readonly runs: Map<string, Shown>;
  /** Whether it is about several runs, and says how many. */
  isGathered: boolean;
  /** Until when further events belong to it. */
  openUntil: number;
}

/**
 * Notifies the user when runs start to wait for a person, and when runs fail.
 *
 * One event has a toast with its own text. Events that follow soon change it into one that counts.
 */
export class Notifier {
  /** Whether to show notifications. */
  enabled = true;
  private toasts: Toast[] = [];
  private updateTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly failed = new Set<string>();

  /**
   * @param workflows - emits the changes of runs
   * @param show - shows the runs with a status
   * @param isInFront - returns whether the user sees the page of a run, so that nothing is to be said
   */
  constructor(
    private readonly workflows: IWorkflows,
    private readonly show: (status: Filter['status']) => void = () => workflows.open(),
    private readonly isInFront: (run: string) => boolean = () => false
  ) {
    workflows.waiting.waitStarted.connect((_, run) => {
      this.notify(run.id, 'waiting', () => Promise.resolve(waitingText(run)));
    });
    workflows.waiting.waitEnded.connect((_, run) => this.remove(run.id));
    workflows.host.onChange(change => {
      if (change?.status === 'failed' && this.isNewFailure(change.run_id)) {
        this.notify(change.run_id, 'failed', () => this.failedText(change));
      }
    });
  }

  /** Show an event in a toast of its own, or in the toast of the events before it. */
  private notify(run: string, shown: Shown, text: () => Promise<string>): void {
    if (!this.enabled || this.isInFront(run)) {
      return;
    }
    const open = this.toasts.find(isOpen);
    if (open === undefined) {
      const runs = new Map([[run, shown]]);
      const toast = { id: '', runs, isGathered: false, openUntil: Date.now() + GATHER_MS };
      this.toasts = [...this.toasts.slice(-MAX_REMEMBERED), toast];
      void this.showSingle(toast, run, shown, text);
    } else {
      open.runs.set(run, shown);
      open.isGathered = true;
      this.requestUpdate();
    }
  }

  private async showSingle(
    toast: Toast,
    run: string,
    shown: Shown,
    text: () => Promise<string>
  ): Promise<void> {
    const message = await text();
    if (!toast.isGathered && toast.runs.has(run)) {
      const open = (): void => this.workflows.open(run);
      const options = optionsOf('Open', 'Open the run', open);
      toast.id = emit(shown, message, options);
    }
  }

  /** Change the gathered toasts soon, once for all events until then. */
  private requestUpdate(): void {
    this.updateTimer ??= setTimeout(() => {
      this.updateTimer = undefined;
      this.toasts.filter(toast => toast.isGathered).forEach(toast => this.update(toast));
    }, UPDATE_MS);
  }

  /** Show how many runs a gathered toast is about. */
  private update(toast: Toast): void {
    const kinds = [...toast.runs.values()];
    const failed = kinds.filter(kind => kind === 'failed').length;
    const waiting = kinds.length - failed;
    if (kinds.length === 0) {
      this.drop(toast);
      return;
    }
    const status = waiting > 0 && failed > 0 ? '' : failed > 0 ? 'failed' : 'waiting';
    const options = optionsOf('Show', 'Show the runs', () => this.show(status));
    const message = gatheredText(waiting, failed);
    const type = failed > 0 ? 'error' : 'info';
    toast.openUntil = Date.now() + AUTO_CLOSE_MS;
    if (toast.id === '') {
      toast.id = emit(failed > 0 ? 'failed' : 'waiting', message, options);
    } else {
      Notification.update({ id: toast.id, message, type, ...options });
    }
  }

  /** Remove a run that no longer waits from its toast. */
  private remove(run: string): void {
    const toast = this.toasts.find(each => each.runs.get(run) === 'waiting');
    toast?.runs.delete(run);
    if (toast?.isGathered) {
      this.requestUpdate();
    } else if (toast) {
      this.drop(toast);
    }
  }

  private drop(toast: Toast): void {
    this.toasts = this.toasts.filter(each => each !== toast);
    if (toast.id !== '') {
      Notification.dismiss(toast.id);
    }
  }

  /** Return whether a failure was not notified of yet. */
  private isNewFailure(run: string): boolean {
    if (this.failed.has(run)) {
      return false;
    }
    if (this.failed.size >= MAX_REMEMBERED) {
      this.failed.clear();
    }
    this.failed.add(run);
    return true;
  }

  private async failedText({ run_id, workflow_name, step }: RunChange): Promise<string> {
    const title = await this.workflows.host.get(run_id).then(
      run => run.title,
      () => null
    );
    return withTitle(title, `${workflow_name} failed at step ${step}.`);
  }
}

/** Return whether further events belong to a toast. None does once the user has closed it. */
function isOpen({ id, openUntil }: Toast): boolean {
  return openUntil > Date.now() && (id === '' || Notification.manager.has(id));
}

function emit(shown: Shown, message: string, options: Notification.IOptions<null>): string {
  return shown === 'failed'
    ? Notification.error(message, options)
    : Notification.info(message, options);
}

function optionsOf(
  label: string,
  caption: string,
  callback: () => void
): Notification.IOptions<null> {
  return { autoClose: AUTO_CLOSE_MS, actions: [{ label, caption, callback }] };
}

/** Return what a toast says about several runs: `38 runs wait for a person · 35 failed`. */
function gatheredText(waiting: number, failed: number): string {
  if (waiting === 0) {
    return `${formatCount(failed, 'run')} failed`;
  }
  const waits = `${formatCount(waiting, 'run')} ${waiting === 1 ? 'waits' : 'wait'} for a person`;
  return failed === 0 ? waits : `${waits} · ${failed.toLocaleString()} failed`;
}

function waitingText({ title, workflow, step, approvers }: WaitingRun): string {
  const who = approvers.length === 0 ? 'you' : listNames(approvers, 'or');
  return withTitle(title, `${workflow} waits for ${who} at step ${step}.`);
}

/** Return a message after a run's title, which may be a sentence of its own. */
function withTitle(title: string | null, message: string): string {
  if (title === null) {
    return message;
  }
  return /[.:!?…]$/.test(title) ? `${title} ${message}` : `${title}: ${message}`;
}
