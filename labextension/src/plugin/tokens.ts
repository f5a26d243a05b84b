import { Token } from '@lumino/coreutils';
import type { Host } from '../core/host';
import type { ApiClient } from './api-client';
import type { WaitingRuns } from './waiting-runs';

/** The services that the plugins share. */
export interface IWorkflows {
  /** Reads and changes runs. */
  readonly host: Host;
  /** Calls the other routes of the server. */
  readonly client: ApiClient;
  /** The runs that wait for a person. */
  readonly waiting: WaitingRuns;
  /** Show the panel, and open a run if an id is given. */
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
  openNotebook: 'jupyter-pdflow:open-notebook',
  resume: 'jupyter-pdflow:resume-latest',
  cancel: 'jupyter-pdflow:cancel-latest',
  run: 'jupyter-pdflow:run',
  test: 'jupyter-pdflow:test',
  production: 'jupyter-pdflow:production'
} as const;

/** Ids of the plugins. */
export const PluginIDs = {
  panel: 'jupyter-pdflow:plugin',
  status: 'jupyter-pdflow:status',
  notebook: 'jupyter-pdflow:notebook'
} as const;
