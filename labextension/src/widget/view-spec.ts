import type { RunStatus } from '../core/types';

/** What a widget shows, as the kernel specifies it. */
export interface ViewSpec {
  kind: 'form' | 'run' | 'runs' | 'step';
  /** The run, or null if there is none yet. */
  run?: string | null;
  step?: string;
  workflow?: string | null;
  status?: RunStatus | null;
  /** Whether a step's view shows the latest run of the workflow, and not only `run`. */
  follow?: boolean;
  /** A path below `/pdflow/api` that exists only on the server of these runs. A form has none. */
  probe?: string;
}

/** Return whether a view shows the latest run of a workflow. */
export function followsLatest({ kind, workflow, follow }: ViewSpec): boolean {
  return kind === 'step' && Boolean(workflow) && follow !== false;
}
