import type { FieldError, Health, Output, Run, RunChange, RunFile, RunItem } from './types';

/** Which runs to list. Without a status or a workflow, runs are not filtered by it. */
export interface RunQuery {
  status?: string;
  workflow?: string;
  limit?: number;
  /** List only runs that were started before the run with this id. */
  before?: string;
}

/** Called with a change of a run, or with null if any run may have changed. */
export type ChangeListener = (change: RunChange | null) => void;

/** What the views need from the page that embeds them. */
export interface Host {
  /** Return runs, newest first. */
  list(query: RunQuery): Promise<RunItem[]>;
  /** Return a run with its event and exports. */
  get(id: string): Promise<Run>;
  /** Return the outputs of a run's steps, by step name. */
  outputs(id: string): Promise<Record<string, Output[]>>;
  /** Return the files that a run's steps have saved. */
  files(id: string): Promise<RunFile[]>;
  /** Return the state of the server and its workers. */
  health(): Promise<Health>;
  /**
   * Resume, or approve, a paused run and return it. Rejects with an {@link ApiError}.
   *
   * The run stays paused if the approval is counted and more are required.
   *
   * @param since - when the pause began that the person has seen; no later one is decided
   */
  resume(id: string, data: unknown, note?: string | null, since?: string): Promise<Run>;
  /** Reject what a paused run asks, and return the run; as {@link Host.resume}. */
  reject(id: string, note: string | null, since?: string): Promise<Run>;
  /** Cancel a run and return it. Rejects with an {@link ApiError}. */
  cancel(id: string, reason: string | null): Promise<Run>;
  /**
   * Subscribe to changes of runs. Null is sent if any run may have changed, as after a reconnect.
   *
   * @returns a function that unsubscribes
   */
  onChange(listener: ChangeListener): () => void;
  /** Render outputs as a notebook does. Without it, HTML is shown as text. */
  renderOutputs?(outputs: Output[], node: HTMLElement): void;
  /** Open a run as an executed notebook. */
  openNotebook?(id: string): void;
  /** Return the URL of a file of a run. Without it, files are listed without links. */
  fileUrl?(id: string, path: string): string;
}

/** An error response of the server, or no response (status 0). */
export class ApiError extends Error {
  /**
   * @param message - one sentence for the user
   * @param reason - the machine-readable reason, such as `not_found`
   * @param status - the HTTP status, or 0 if there was no response
   * @param errors - what is wrong with the fields of an answer
   */
  constructor(
    message: string,
    readonly reason: string,
    readonly status: number,
    readonly errors: readonly FieldError[] = []
  ) {
    super(message);
    this.name = 'ApiError';
  }
}
