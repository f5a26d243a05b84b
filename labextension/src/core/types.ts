/**
 * The types of the server's REST API and events. The Python package describes them in
 * `openapi.yaml` and `run-event.yaml`.
 */

/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The status of a run. */
export type RunStatus = 'queued' | 'running' | 'paused' | 'succeeded' | 'failed' | 'canceled';

/** The status of a step. */
export type StepStatus =
  'pending' | 'running' | 'paused' | 'succeeded' | 'failed' | 'canceled' | 'skipped';

/** The method of `pd.flow` that paused a run. */
export type PauseKind = 'suspend' | 'rerun' | 'delay';

/** The error of a step that failed. */
export interface StepError {
  message: string;
  ename: string;
  evalue: string;
  /** The lines of the notebook's own frames, which may contain ANSI escape sequences. */
  traceback: string[];
  step: string | null;
}

/** A step in a list of runs. */
export interface StepItem {
  name: string;
  status: StepStatus;
  /** Number of executions in this run. */
  runs: number;
  error: StepError | null;
  started_at: string | null;
  ended_at: string | null;
}

/** A step with its exports. */
export interface Step extends StepItem {
  /** By name: `$return_value`, `$resume_data` and named exports. */
  exports: Record<string, unknown>;
}

/** The pause of a run. */
export interface Pause {
  kind: PauseKind;
  step: string;
  /** When the pause ends without an action. */
  deadline: string;
  /** Both links are null for a user who may not execute. */
  resume_url: string | null;
  cancel_url: string | null;
}

/** The usage of a run. */
export interface Usage {
  credits: number;
  compute_ms: number;
  paused_ms: number;
}

/** A run in a list, without its event and its steps' exports. */
export interface RunItem {
  /** Ids sort by the time of the start. */
  id: string;
  workflow_id: string;
  workflow_name: string;
  version: string;
  status: RunStatus;
  steps: StepItem[];
  pause: Pause | null;
  usage: Usage;
  error: StepError | null;
  /** The reason given for canceling or exiting the run, or null. */
  reason: string | null;
  created_at: string;
  updated_at: string;
}

/** A run with its event and its steps' exports. */
export interface Run extends RunItem {
  event: unknown;
  steps: Step[];
}

/** A file that a step has saved below `pd.files`. */
export interface RunFile {
  /** The path below the run's folder, with forward slashes. */
  path: string;
  /** The size in bytes. */
  size: number;
  modified_at: string;
}

/** An output of a cell, in the format of nbformat. */
export interface Output {
  output_type: string;
  [key: string]: unknown;
}

/** The data of a Jupyter event of the schema {@link RUN_EVENT}. */
export interface RunChange {
  run_id: string;
  workflow_id: string;
  workflow_name: string;
  status: RunStatus;
  /** The step that is executing, paused or next. */
  step: string;
  pause_kind: PauseKind | null;
  deadline: string | null;
  updated_at: string;
}

/** The schema id of the events about changed runs. */
export const RUN_EVENT = 'https://schema.jupyter.org/jupyter_pdflow/run/v1';
