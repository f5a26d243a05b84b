import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IStatusBar } from '@jupyterlab/statusbar';
import { IWorkflows, PluginIDs } from './tokens';
import { WaitingStatus } from './waiting-status';

/** The status bar item. */
export const statusPlugin: JupyterFrontEndPlugin<void> = {
  id: PluginIDs.status,
  description: 'Shows in the status bar how many workflow runs wait for a person.',
  autoStart: true,
  requires: [IWorkflows],
  optional: [IStatusBar],
  activate: (_: JupyterFrontEnd, workflows: IWorkflows, statusBar: IStatusBar | null) => {
    if (statusBar) {
      const item = new WaitingStatus(workflows.waiting, () => workflows.open());
      statusBar.registerStatusItem(PluginIDs.status, {
        item,
        align: 'left',
        rank: 5,
        isActive: () => item.isShown,
        activeStateChanged: item.shownChanged
      });
    }
  }
};
