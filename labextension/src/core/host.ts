import type { Query } from './routes';
import type {
  Email,
  FieldError,
  Health,
  HistoryEntry,
  Output,
  Run,
  RunChange,
  RunCounts,
  RunFile,
  RunItem,
  Version,
  VersionItem,
  Workflow
} from './types';

/** Which runs to list. Without a status or a workflow, runs are not filtered by it. */
export type RunQuery = Query<'/pdflow/api/runs'>;

/** Which runs to count, as in {@link RunQuery}. */
export type CountQuery = Omit<Query<'/pdflow/api/runs/counts'>, 'offset'>;

/** Called with a change of a run, or with null if any run may have changed. */
export type ChangeListener = (change: RunChange | null) => void;

/** What the views need from the page that embeds them. */
export interface Host {
  /** Return runs, newest first. */
  list(query: RunQuery): Promise<RunItem[]>;
  /** Return a run with its event and exports. */
  get(id: string): Promise<Run>;
  /** Return the number of runs by status, and of each workflow by day. */
  counts(query: CountQuery): Promise<RunCounts>;
  /** Return the outputs of a run's steps by step name, also those of a step that is running. */
  outputs(id: string): Promise<Record<string, Output[]>>;
  /** Return the files that a run's steps have saved. */
  files(id: string): Promise<RunFile[]>;
  /** Return the emails of a run, newest first. */
  emails(id: string): Promise<Email[]>;
  /** Send an email again that has failed, and return it. */
  retryEmail(id: string): Promise<Email>;
  /** Return what has happened to a run: the newest 1,000 entries, oldest first. */
  history(id: string): Promise<HistoryEntry[]>;
  /** Return the newest version of a workflow. */
  workflow(id: string): Promise<Workflow>;
  /** Return the versions of a workflow, newest first. */
  versions(id: string): Promise<VersionItem[]>;
  /** Return a version of a workflow with its code. */
  source(id: string, version: string): Promise<Version>;
  /** Start a run of the newest version of a workflow, and return it. */
  start(workflow: string, event: unknown): Promise<Run>;
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
  renderOutputs?(outputs: readonly Output[], node: HTMLElement): void;
  /** Open a run as an executed notebook. */
  openNotebook?(id: string): void;
  /** Open a run's page beside this view. Without it, a view opens the page in its own place. */
  openRun?(id: string): void;
  /** Open the notebook of a workflow at the cell of a step. */
  openCell?(workflow: string, step: string): void;
  /**
   * Return the source of a step's cell as its open notebook has it, or null if none is open.
   *
   * The first line, with `%%step`, is left out, as in a deployed version.
   */
  cellSource?(workflow: string, step: string): string | null;
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
