/** JupyterLab's plugins. */
import { notebookPlugin } from './plugin/notebook-plugin';
import { panelPlugin } from './plugin/panel-plugin';
import { runNotebookPlugin } from './plugin/run-notebook-plugin';
import { statusPlugin } from './plugin/status-plugin';

export default [panelPlugin, statusPlugin, notebookPlugin, runNotebookPlugin];
