import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { notebookDownload } from '../core/download';
import type { Filter } from '../core/filter';
import { LiveRuns } from '../core/live-runs';
import type { HostExtras } from '../core/rest-host';
import { fileUrls, RestHost } from '../core/rest-host';
import { registerExtras } from '../widget/page-globals';
import { ApiClient } from './api-client';
import { addRunCommands } from './commands';
import { Notifier } from './notifier';
import { outputRenderer } from './output-renderer';
import { RunEvents } from './run-events';
import { RunTabs } from './run-tabs';
import { RunsPanel } from './runs-panel';
import { stepCells } from './step-cells';
import { CommandIDs, IWorkflows, PluginIDs } from './tokens';
import { WaitingRuns } from './waiting-runs';

/** The side panel, the commands and the notifications. */
export const panelPlugin: JupyterFrontEndPlugin<IWorkflows> = {
  id: PluginIDs.panel,
  description: 'Shows workflow runs, and resumes and cancels them.',
  autoStart: true,
  provides: IWorkflows,
  requires: [IRenderMimeRegistry],
  optional: [ILabShell, ILayoutRestorer, ICommandPalette, ISettingRegistry, INotebookTracker],
  activate: (
    app: JupyterFrontEnd,
    rendermime: IRenderMimeRegistry,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null,
    notebooks: INotebookTracker | null
  ): IWorkflows => {
    const workflows = makeWorkflows(app, rendermime, notebooks, labShell !== null);
    const { panel, tabs } = workflows;
    addRunCommands(app, workflows, palette);
    if (restorer) {
      restorer.add(panel, RunsPanel.id);
      tabs?.restore(restorer);
    }
    const showStatus = (status: Filter['status']): void => {
      panel.showStatus(status);
      app.shell.activateById(panel.id);
    };
    const isInFront = (run: string): boolean => tabs?.isInFront(run) ?? false;
    const notifier = new Notifier(workflows, showStatus, isInFront);
    const addToShell = (side: string): void => {
      const isMoved = panel.isAttached && labShell !== null;
      const wasVisible = panel.isVisible;
      app.shell.add(panel, side, { rank: 550, type: 'Workflow runs' });
      if (isMoved && wasVisible) {
        app.shell.activateById(panel.id);
      }
    };
    let side = '';
    const configure = (loaded?: ISettingRegistry.ISettings): void => {
      notifier.enabled = loaded?.composite['notifications'] !== false;
      const size = loaded?.composite['pageSize'];
      if (typeof size === 'number') {
        panel.pageSize = size;
      }
      const newSide = loaded?.composite['side'] === 'right' ? 'right' : 'left';
      if (newSide !== side) {
        side = newSide;
        addToShell(side);
      }
    };
    const load = settings?.load(PluginIDs.panel) ?? Promise.reject(new Error('no settings'));
    load.then(
      loaded => {
        configure(loaded);
        loaded.changed.connect(configure);
      },
      () => configure()
    );
    return workflows;
  }
};

interface PanelWorkflows extends IWorkflows {
  panel: RunsPanel;
  tabs: RunTabs | null;
}

/**
 * Return the services that the plugins share.
 *
 * @param hasTabs - whether runs open as tabs; Notebook 7 has no tabs, there they open in the panel
 */
function makeWorkflows(
  app: JupyterFrontEnd,
  rendermime: IRenderMimeRegistry,
  notebooks: INotebookTracker | null,
  hasTabs: boolean
): PanelWorkflows {
  const settings = app.serviceManager.serverSettings;
  const client = new ApiClient(settings);
  const events = new RunEvents(settings);
  const openRun = (run: string): void => void tabs?.open(run);
  const openNotebook = (run: string): void =>
    void app.commands.execute(CommandIDs.openNotebook, { run });
  const extras: HostExtras = {
    ...stepCells(app, client, notebooks),
    renderOutputs: outputRenderer(rendermime),
    fileUrl: fileUrls(settings.baseUrl),
    openNotebook: hasTabs ? openNotebook : notebookDownload(settings.baseUrl),
    ...(hasTabs && { openRun })
  };
  registerExtras(extras);
  const host = new RestHost(settings.baseUrl, client.request, events.subscribe, extras);
  const runs = new LiveRuns(host);
  const tabs = hasTabs ? new RunTabs(app.shell, runs) : null;
  const waiting = new WaitingRuns(runs);
  const panel = new RunsPanel(runs, waiting);
  const open = (run?: string): void => {
    if (run !== undefined && tabs) {
      tabs.open(run);
      return;
    }
    if (run !== undefined) {
      panel.open(run);
    }
    app.shell.activateById(panel.id);
  };
  return { host, runs, client, waiting, panel, tabs, open };
}
