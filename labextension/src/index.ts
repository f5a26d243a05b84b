/** JupyterLab's plugins. */
import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-pdflow:plugin',
  description: 'Shows the runs of workflows and steers them.',
  autoStart: true,
  activate: () => undefined
};

export default [plugin];
