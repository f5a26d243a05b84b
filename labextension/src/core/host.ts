import type { Output, Run, RunChange, RunFile, RunItem } from './types';

/** Which runs a list is to have; without a status or a workflow, all of them. */
export interface RunQuery {
  status?: string;
  workflow?: string;
  limit?: number;
  /** Only runs that were started before the one with this id. */
  before?: string;
}

/** Called with a change of a run; with null where anything may have changed. */
export type ChangeListener = (change: RunChange | null) => void;

/** What the views need from where they are shown. */
export interface Host {
  /** List runs, newest first. */
  list(query: RunQuery): Promise<RunItem[]>;
  /** Get a run whole. */
  get(id: string): Promise<Run>;
  /** Get the outputs of a run's steps, by step name. */
  outputs(id: string): Promise<Record<string, Output[]>>;
  /** List the files that a run's steps have saved. */
  files(id: string): Promise<RunFile[]>;
  /** Resume a paused run; rejects with an {@link ApiError}. */
  resume(id: string, data: unknown): Promise<Run>;
  /** Cancel a run; rejects with an {@link ApiError}. */
  cancel(id: string, reason: string | null): Promise<Run>;
  /**
   * Hear of changes; null means that anything may have changed, as after a reconnect.
   *
   * @returns what ends it
   */
  onChange(listener: ChangeListener): () => void;
  /** Draw outputs as a notebook does; without it, text, images, and HTML as text are drawn. */
  renderOutputs?(outputs: Output[], node: HTMLElement): void;
  /** Open a run as an executed notebook. */
  openNotebook?(id: string): void;
  /** The address at which a browser gets a file of a run; without it, files are only named. */
  fileUrl?(id: string, path: string): string;
}

/** An answer of the server that is an error, or no answer at all (status 0). */
export class ApiError extends Error {
  /**
   * @param message - one sentence for people
   * @param reason - one name for programs, such as `not_found`
   * @param status - the HTTP status; 0 where there was no answer
   */
  constructor(
    message: string,
    readonly reason: string,
    readonly status: number
  ) {
    super(message);
    this.name = 'ApiError';
  }
}
