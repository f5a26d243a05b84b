/**
 * The types of the server's REST API and events. Those of the API are made from its description,
 * `openapi.yaml`.
 */

import type { components } from './api';

type Schemas = components['schemas'];

/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The status of a run. */
export type RunStatus = Schemas['RunStatus'];

/** The status of a step. */
export type StepStatus = Schemas['StepStatus'];

/** What a run is paused for: the method of `pd.flow`, or a further attempt of a step. */
export type PauseKind = Schemas['PauseKind'];

/** The error of a step that failed. Its traceback may contain ANSI escape sequences. */
export type StepError = Schemas['StepError'];

/** A step in a list of runs. */
export type StepItem = Schemas['StepItem'];

/** A step with its exports. */
export type Step = Schemas['Step'];

/** The pause of a run. */
export type Pause = Schemas['Pause'];

/** Who has decided, and how. */
export type Decider = Schemas['Decider'];

/** How a pause was decided. */
export type Decision = Schemas['Decision'];

/** What is wrong with one field of an answer. */
export type FieldError = Schemas['FieldError'];

/** The usage of a run. */
export type Usage = Schemas['Usage'];

/** A run in a list, without its event and its steps' exports. */
export type RunItem = Schemas['RunItem'];

/** A run with its event and its steps' exports. */
export type Run = Schemas['Run'];

/** A file that a step has saved below `pd.files`. */
export type RunFile = Schemas['RunFile'];

/** A process that executes steps. */
export type Worker = Schemas['Worker'];

/** The state of the server and its workers. */
export type Health = Schemas['Health'];

/** The data of a Jupyter event of the schema {@link RUN_EVENT}. */
export type RunChange = Schemas['RunChange'];

/** An email of a step. */
export type Email = Schemas['Email'];

/** What has happened to a run. */
export type HistoryEntry = Schemas['HistoryEntry'];

/** The newest version of a workflow. */
export type Workflow = Schemas['Workflow'];

/** One version of a workflow, in the list of its versions. */
export type VersionItem = Schemas['VersionItem'];

/** One version of a workflow with its code. */
export type Version = Schemas['Version'];

/** What the server knows about a notebook. */
export type Deployment = Schemas['Deployment'];

/** The number of runs by status; `waiting` are those that wait for a person. */
export type StatusCounts = Pick<RunCounts, 'statuses' | 'waiting'>;

/** The number of runs that match a filter, and of each workflow. */
export type RunCounts = Schemas['RunCounts'];

/** The number of runs of a workflow, and on each of the last 14 days that has any. */
export type WorkflowCounts = Schemas['WorkflowCounts'];

/** The number of runs that were started on a day, by how they have ended. */
export type DayCounts = Schemas['DayCounts'];

/** An output of a cell, in the format of nbformat. */
export interface Output {
  output_type: string;
  [key: string]: unknown;
}

/** The schema id of the events about changed runs. */
export const RUN_EVENT = 'https://schema.jupyter.org/jupyter_pdflow/run/v1';
