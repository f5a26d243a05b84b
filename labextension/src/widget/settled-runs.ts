import { hasEnded } from '../core/formatting';
import type { Host } from '../core/host';
import { LiveRuns } from '../core/live-runs';
import type { Run } from '../core/types';

/** Live runs that also tell each time that a settled run is read: paused or ended. */
export class SettledRuns {
  readonly runs: LiveRuns;
  private readonly listeners = new Set<(run: Run) => void>();

  /** @param host - reads runs, and sends their changes */
  constructor(host: Host) {
    const get = async (id: string): Promise<Run> => {
      const run = await host.get(id);
      if (run.status === 'paused' || hasEnded(run)) {
        [...this.listeners].forEach(listener => listener(run));
      }
      return run;
    };
    this.runs = new LiveRuns(Object.assign(Object.create(host) as Host, { get }));
  }

  /** Call a function with each settled run that is read. Returns a function that ends this. */
  subscribe(listener: (run: Run) => void): () => void {
    // The wrapper is unique, so that a listener can subscribe twice.
    const wrapper = (run: Run): void => listener(run);
    this.listeners.add(wrapper);
    return () => void this.listeners.delete(wrapper);
  }
}
