import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { fileUrls, RestHost } from '../core/rest-host';
import { registerExtras } from '../widget/page-globals';
import { ApiClient } from './api-client';
import { addRunCommands } from './commands';
import { Notifier } from './notifier';
import { outputRenderer } from './output-renderer';
import { RunEvents } from './run-events';
import { RunsPanel } from './runs-panel';
import { CommandIDs, IWorkflows, PluginIDs } from './tokens';
import { WaitingRuns } from './waiting-runs';

/** The side panel, the commands and the notifications. */
export const panelPlugin: JupyterFrontEndPlugin<IWorkflows> = {
  id: PluginIDs.panel,
  description: 'Shows workflow runs, and resumes and cancels them.',
  autoStart: true,
  provides: IWorkflows,
  requires: [IRenderMimeRegistry],
  optional: [ILabShell, ILayoutRestorer, ICommandPalette, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    rendermime: IRenderMimeRegistry,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null
  ): IWorkflows => {
    const workflows = makeWorkflows(app, rendermime);
    const { panel } = workflows;
    addRunCommands(app, workflows, palette);
    restorer?.add(panel, RunsPanel.id);
    const notifier = new Notifier(workflows);
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

function makeWorkflows(
  app: JupyterFrontEnd,
  rendermime: IRenderMimeRegistry
): IWorkflows & { panel: RunsPanel } {
  const settings = app.serviceManager.serverSettings;
  const client = new ApiClient(settings);
  const events = new RunEvents(settings);
  const extras = {
    renderOutputs: outputRenderer(rendermime),
    fileUrl: fileUrls(settings.baseUrl),
    openNotebook: (run: string): void => {
      void app.commands.execute(CommandIDs.openNotebook, { run });
    }
  };
  registerExtras(extras);
  const host = new RestHost(settings.baseUrl, client.request, events.subscribe, extras);
  const waiting = new WaitingRuns(host);
  const panel = new RunsPanel(host, waiting);
  const open = (runId?: string): void => {
    if (runId !== undefined) {
      panel.open(runId);
    }
    app.shell.activateById(panel.id);
  };
  return { host, client, waiting, panel, open };
}
