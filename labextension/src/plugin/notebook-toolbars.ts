import { NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import { runIcon, ToolbarButton } from '@jupyterlab/ui-components';
import type { Widget } from '@lumino/widgets';
import { NotebookWorkflow, type Places } from './notebook-workflow';
import { ModeSwitch } from './mode-switch';

/** The workflows of the notebooks that are open. */
export class NotebookWorkflows {
  private readonly found = new WeakMap<NotebookPanel, NotebookWorkflow>();
  private readonly panels = new Set<NotebookPanel>();

  /** @param places - what they need */
  constructor(private readonly places: Places) {
    NotebookActions.executed.connect((_, { notebook }) => {
      for (const panel of this.panels) {
        if (panel.content === notebook) {
          this.of(panel).refresh();
        }
      }
    });
  }

  /** Get the workflow of a notebook. */
  of(panel: NotebookPanel): NotebookWorkflow {
    const found = this.found.get(panel) ?? new NotebookWorkflow(panel, this.places);
    if (!this.found.has(panel)) {
      this.found.set(panel, found);
      this.panels.add(panel);
      panel.disposed.connect(() => this.panels.delete(panel));
    }
    return found;
  }

  /** Make a notebook's switch Test | Production. */
  readonly makeSwitch = (panel: NotebookPanel): Widget => {
    const workflow = this.of(panel);
    const widget = new ModeSwitch(mode => void workflow.switchTo(mode));
    follow(widget, workflow, () => {
      widget.setMode(workflow.mode);
      widget.setBusy(workflow.isBusy);
    });
    return widget;
  };

  /** Make a notebook's Run button, which is there in production. */
  readonly makeRun = (panel: NotebookPanel): Widget => {
    const workflow = this.of(panel);
    const widget = new ToolbarButton({
      icon: runIcon,
      label: 'Run workflow…',
      tooltip: 'Start a production run of the deployed version',
      onClick: () => void workflow.run()
    });
    widget.addClass('jp-pdflow-run');
    follow(widget, workflow, () => widget.setHidden(workflow.mode !== 'production'));
    return widget;
  };
}

function follow(widget: Widget, workflow: NotebookWorkflow, draw: () => void): void {
  workflow.changed.connect(draw);
  widget.disposed.connect(() => workflow.changed.disconnect(draw));
  draw();
}
