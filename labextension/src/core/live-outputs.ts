import type { Host } from './host';
import { Refresher } from './refresher';
import type { Output, Run, Step } from './types';

/** How long after a read the outputs of a running step are read again. */
const PERIOD_MS = 500;
/** How long after a read that has failed. */
const RETRY_MS = 5000;
const NONE: Output[] = [];

/** Which outputs are followed, and when. */
interface Following {
  /** The only step whose outputs are shown; by default, all steps' are. */
  step?: string;
  /** Return whether a person can see the outputs; nothing is read for a tab behind another one. */
  isShown?: () => boolean;
}

/** The outputs of a run's steps, which are read again while a step is running. */
export class LiveOutputs {
  /** The outputs by step name; empty until they were read. */
  outputs: Record<string, Output[]> = {};
  /** Why the last read has failed, or null. */
  error: unknown = null;
  /** Whether the outputs were read, or no step has started. */
  isLoaded = false;
  private run: Run | null = null;
  private readKey = '';
  private isDisposed = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly reader = new Refresher(() => this.read());

  /**
   * @param host - reads the outputs
   * @param id - the run's id
   * @param onUpdate - called when the outputs or the error have changed
   * @param following - which outputs are shown, and when
   */
  constructor(
    readonly host: Host,
    readonly id: string,
    readonly onUpdate: () => void,
    private readonly following: Following = {}
  ) {
    document.addEventListener('visibilitychange', this.onVisible);
  }

  /** Return the outputs of a step; a step may be named like an attribute of any object. */
  of(step: string): Output[] {
    return Object.hasOwn(this.outputs, step) ? this.outputs[step] : NONE;
  }

  /** Take note of the run's state: whether a step is running, has ended or has started. */
  follow(run: Run): void {
    this.run = run;
    const key = this.keyOf(run);
    this.isLoaded ||= key === '';
    if (key !== '' && (key !== this.readKey || this.error !== null)) {
      this.readKey = key;
      void this.reader.now();
    } else if (this.isRunning) {
      this.schedule();
    } else {
      this.unschedule();
    }
  }

  /** Read the outputs again, as after an error. */
  reload(): void {
    void this.reader.now();
  }

  /** Stop reading. */
  dispose(): void {
    this.isDisposed = true;
    document.removeEventListener('visibilitychange', this.onVisible);
    this.reader.dispose();
    this.unschedule();
  }

  private async read(): Promise<void> {
    this.unschedule();
    try {
      const outputs = await this.host.outputs(this.id);
      this.take(outputs);
    } catch (error) {
      this.fail(error);
    }
    this.schedule();
  }

  /** Take over the outputs. Those that are equal stay the same objects, so that nothing is drawn. */
  private take(outputs: Record<string, Output[]>): void {
    if (this.isDisposed) {
      return;
    }
    const known = this.outputs;
    const merged = Object.entries(outputs).map(([step, each]) => {
      const isEqual =
        Object.hasOwn(known, step) && JSON.stringify(known[step]) === JSON.stringify(each);
      return [step, isEqual ? known[step] : each] as const;
    });
    const isSame =
      merged.length === Object.keys(known).length &&
      merged.every(([step, each]) => Object.hasOwn(known, step) && known[step] === each);
    if (!isSame || this.error !== null || !this.isLoaded) {
      this.outputs = Object.fromEntries(merged);
      this.error = null;
      this.isLoaded = true;
      this.onUpdate();
    }
  }

  private fail(error: unknown): void {
    if (!this.isDisposed) {
      this.error = error;
      this.onUpdate();
    }
  }

  /** The steps that are shown and have started. */
  private stepsOf(run: Run): Step[] {
    const { step } = this.following;
    return run.steps.filter(
      ({ name, started_at }) => started_at !== null && (step === undefined || name === step)
    );
  }

  /** Return a key that changes when a step starts or ends. It is empty if no step has started. */
  private keyOf(run: Run): string {
    return this.stepsOf(run)
      .map(({ name, runs, status }) => [name, runs, status].join(' '))
      .join();
  }

  private get isRunning(): boolean {
    const { run } = this;
    return (
      run?.status === 'running' && this.stepsOf(run).some(({ status }) => status === 'running')
    );
  }

  /** Read again later if a step is running and the page is visible. */
  private schedule(): void {
    if (this.isRunning && !this.isDisposed && !isHidden() && this.timer === undefined) {
      const wait = this.error === null ? PERIOD_MS : RETRY_MS;
      this.timer = setTimeout(this.onTime, wait);
    }
  }

  private readonly onTime = (): void => {
    this.timer = undefined;
    if (this.following.isShown?.() === false) {
      this.schedule();
    } else {
      this.reload();
    }
  };

  private unschedule(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private readonly onVisible = (): void => {
    if (isHidden()) {
      this.unschedule();
    } else if (this.isRunning) {
      this.reload();
    }
  };
}

function isHidden(): boolean {
  return document.visibilityState === 'hidden';
}
