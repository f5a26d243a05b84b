import { Token } from '@lumino/coreutils';
import type { Host } from '../core/host';
import type { ApiClient } from './api-client';
import type { WaitingRuns } from './waiting-runs';

/** What the plugins share. */
export interface IWorkflows {
  /** Runs, as the views see them. */
  readonly host: Host;
  /** What else the server does. */
  readonly client: ApiClient;
  /** Which runs wait for a person. */
  readonly waiting: WaitingRuns;
  /** Show the panel; with an id, that run in it. */
  open(runId?: string): void;
}

/** The token of what the plugins share. */
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
