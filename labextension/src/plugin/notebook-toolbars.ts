import { NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import { runIcon } from '@jupyterlab/ui-components';
import type { Widget } from '@lumino/widgets';
import { ActionButton } from './action-button';
import { DeployState } from './deploy-state';
import { ModeSwitch } from './mode-switch';
import { NotebookWorkflow, type NotebookServices } from './notebook-workflow';
import { toolbarState } from './toolbar-state';

/** Creates the toolbar items of notebooks, and keeps the workflow of each open notebook. */
export class NotebookToolbars {
  private readonly workflows = new WeakMap<NotebookPanel, NotebookWorkflow>();
  private readonly panels = new Set<NotebookPanel>();

  /** @param services - services of JupyterLab and of the panel */
  constructor(private readonly services: NotebookServices) {
    NotebookActions.executed.connect((_, { notebook }) => {
      for (const panel of this.panels) {
        if (panel.content === notebook) {
          this.workflowOf(panel).refresh();
        }
      }
    });
  }

  /** Return the workflow of a notebook. */
  workflowOf(panel: NotebookPanel): NotebookWorkflow {
    const workflow = this.workflows.get(panel) ?? new NotebookWorkflow(panel, this.services);
    if (!this.workflows.has(panel)) {
      this.workflows.set(panel, workflow);
      this.panels.add(panel);
      panel.disposed.connect(() => this.panels.delete(panel));
    }
    return workflow;
  }

  /** Return a notebook's switch Test | Production. */
  readonly makeSwitch = (panel: NotebookPanel): Widget => {
    const workflow = this.workflowOf(panel);
    const widget = new ModeSwitch(
      mode => void workflow.switchTo(mode),
      () => void workflow.load()
    );
    drawOnChange(widget, workflow, () => widget.draw(toolbarState(workflow.facts)));
    return widget;
  };

  /** Return what a notebook's toolbar says about its deployed version, with *Deploy*. */
  readonly makeDeployState = (panel: NotebookPanel): Widget => {
    const workflow = this.workflowOf(panel);
    const widget = new DeployState(() => void workflow.deploy());
    drawOnChange(widget, workflow, () => widget.draw(toolbarState(workflow.facts)));
    return widget;
  };

  /** Return a notebook's Run button, which is visible if the notebook has steps. */
  readonly makeRunButton = (panel: NotebookPanel): Widget => {
    const workflow = this.workflowOf(panel);
    const widget = new ActionButton({
      icon: runIcon,
      label: 'Run workflow…',
      tooltip: 'Start a production run of this notebook',
      onClick: () => void workflow.run()
    });
    widget.addClass('jp-pdflow-run');
    drawOnChange(widget, workflow, () => widget.setHidden(!workflow.facts.hasSteps));
    return widget;
  };
}

function drawOnChange(widget: Widget, workflow: NotebookWorkflow, draw: () => void): void {
  workflow.changed.connect(draw);
  widget.disposed.connect(() => workflow.changed.disconnect(draw));
  draw();
}
