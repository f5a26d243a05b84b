import { CodeCell } from '@jupyterlab/cells';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { splitStep } from './step-code';

/**
 * Show the latest production run in the step cells that have outputs.
 *
 * Their outputs are those of test mode, maybe of an earlier session. In production mode, running a
 * step cell executes nothing: it shows the step.
 */
export async function showStepsInProduction(panel: NotebookPanel): Promise<void> {
  const cells = panel.content.widgets.filter(
    (cell): cell is CodeCell =>
      cell instanceof CodeCell &&
      cell.model.outputs.length > 0 &&
      splitStep(cell.model.sharedModel.getSource()) !== null
  );
  await Promise.all(cells.map(cell => CodeCell.execute(cell, panel.sessionContext)));
}
