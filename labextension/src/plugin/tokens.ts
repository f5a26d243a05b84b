import { Token } from '@lumino/coreutils';
import type { Host } from '../core/host';
import type { LiveRuns } from '../core/live-runs';
import type { ApiClient } from './api-client';
import type { WaitingRuns } from './waiting-runs';

/** The services that the plugins share. */
export interface IWorkflows {
  /** Reads and changes runs. */
  readonly host: Host;
  /** The runs that the views show, kept up to date. */
  readonly runs: LiveRuns;
  /** Calls the other routes of the server. */
  readonly client: ApiClient;
  /** The runs that wait for a person. */
  readonly waiting: WaitingRuns;
  /** Open a run, or show the panel if no id is given. */
  open(runId?: string): void;
}

/** The token of the services that the plugins share. */
export const IWorkflows = new Token<IWorkflows>(
  'jupyter-pdflow:IWorkflows',
  'Runs of workflows, and the panel that shows them.'
);

/** Ids of the commands. */
export const CommandIDs = {
  open: 'jupyter-pdflow:open',
  openRun: 'jupyter-pdflow:open-run',
  openNotebook: 'jupyter-pdflow:open-notebook',
  resume: 'jupyter-pdflow:resume-latest',
  cancel: 'jupyter-pdflow:cancel-latest',
  run: 'jupyter-pdflow:run',
  test: 'jupyter-pdflow:test',
  production: 'jupyter-pdflow:production',
  deploy: 'jupyter-pdflow:deploy',
  load: 'jupyter-pdflow:load',
  newNotebook: 'jupyter-pdflow:new-notebook'
} as const;

/** Ids of the plugins. */
export const PluginIDs = {
  panel: 'jupyter-pdflow:plugin',
  status: 'jupyter-pdflow:status',
  notebook: 'jupyter-pdflow:notebook',
  runNotebook: 'jupyter-pdflow:run-notebook'
} as const;
