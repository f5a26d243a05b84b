import type { INotebookModel, NotebookPanel } from '@jupyterlab/notebook';
import { loadsExtension, type CellText } from './step-code';

/** Return what is read of a notebook's cells, unsaved changes included. */
export function* cellTexts(model: INotebookModel): Generator<CellText> {
  for (const { id, type, sharedModel } of model.cells) {
    const tags = sharedModel.getMetadata('tags');
    yield {
      id,
      type,
      source: sharedModel.getSource(),
      tags: Array.isArray(tags) ? tags.filter(tag => typeof tag === 'string') : []
    };
  }
}

/** Scroll to a cell, select it and move the focus into its editor. */
export async function showCell(panel: NotebookPanel, index: number): Promise<void> {
  const notebook = panel.content;
  if (index < 0 || index >= notebook.widgets.length) {
    return;
  }
  notebook.deselectAll();
  notebook.activeCellIndex = index;
  await notebook.scrollToItem(index, 'smart');
  await notebook.widgets[index].ready;
  notebook.mode = 'edit';
  notebook.activate();
}

/**
 * Insert a cell that loads the extension above the first code cell, unless there is one.
 *
 * @param isDeployed - whether the cell is left out of the workflow, which it would change
 */
export function insertLoadCell(panel: NotebookPanel, source: string, isDeployed: boolean): void {
  const { model } = panel.context;
  const cells = [...cellTexts(model)];
  if (!cells.some(loadsExtension)) {
    const index = cells.findIndex(({ type }) => type === 'code');
    const metadata = isDeployed ? { tags: ['skip'] } : {};
    model.sharedModel.insertCell(Math.max(index, 0), { cell_type: 'code', source, metadata });
  }
}
