/**
 * What the server's REST API and its events say of runs; `openapi.yaml` and `run-event.yaml` of
 * the Python package describe the same.
 */

/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What a run is doing. */
export type RunStatus = 'queued' | 'running' | 'paused' | 'succeeded' | 'failed' | 'canceled';

/** What a step of a run is doing. */
export type StepStatus =
  'pending' | 'running' | 'paused' | 'succeeded' | 'failed' | 'canceled' | 'skipped';

/** Which call paused a run. */
export type PauseKind = 'suspend' | 'rerun' | 'delay';

/** Why a step, and so its run, failed. */
export interface StepError {
  message: string;
  ename: string;
  evalue: string;
  /** The lines of the author's own frames; they may have ANSI colours. */
  traceback: string[];
  step: string | null;
}

/** A step in a list of runs. */
export interface StepItem {
  name: string;
  status: StepStatus;
  /** How often it was executed in this run. */
  runs: number;
  error: StepError | null;
  started_at: string | null;
  ended_at: string | null;
}

/** A step of a run that is shown whole. */
export interface Step extends StepItem {
  /** By name: `$return_value`, `$resume_data` and named exports. */
  exports: Record<string, unknown>;
}

/** What a paused run waits for. */
export interface Pause {
  kind: PauseKind;
  step: string;
  /** When it ends by itself. */
  deadline: string;
  /** Both links are null for a user who may not execute. */
  resume_url: string | null;
  cancel_url: string | null;
}

/** What a run has used. */
export interface Usage {
  credits: number;
  compute_ms: number;
  paused_ms: number;
}

/** A run in a list: without its event and its steps' exports. */
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
  /** Why it was canceled, or exited early, where that was said. */
  reason: string | null;
  created_at: string;
  updated_at: string;
}

/** A run whole. */
export interface Run extends RunItem {
  event: unknown;
  steps: Step[];
}

/** A file that a step has saved below `pd.files`. */
export interface RunFile {
  /** With forward slashes. */
  path: string;
  /** Bytes. */
  size: number;
  modified_at: string;
}

/** An output of a cell, as nbformat has it. */
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
  /** The step that is executing, waiting or next. */
  step: string;
  pause_kind: PauseKind | null;
  deadline: string | null;
  updated_at: string;
}

/** The id of the schema of the events that tell of changed runs. */
export const RUN_EVENT = 'https://schema.jupyter.org/jupyter_pdflow/run/v1';
