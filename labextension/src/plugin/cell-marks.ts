import type { Cell } from '@jupyterlab/cells';
import type { Notebook } from '@jupyterlab/notebook';
import type { Edits } from './step-code';
import { markText, markTitle } from './toolbar-state';

/**
 * Says in step cells that their code differs from the deployed version.
 *
 * A mark lies over the empty place below the cell's prompt, so that nothing moves. It is in the
 * cell's own node, which stays when the notebook detaches the cell.
 */
export class CellMarks {
  private readonly marks = new Map<Cell, HTMLElement>();

  /** @param notebook - the notebook's cells */
  constructor(private readonly notebook: Notebook) {}

  /** Show the differences from a version, and remove all other marks. */
  show({ cells }: Edits, version: string): void {
    const marked = new Set<Cell>();
    for (const widget of this.notebook.widgets) {
      const edit = cells.get(widget.model.id);
      if (edit) {
        marked.add(widget);
        const mark = this.marks.get(widget) ?? this.add(widget);
        setText(mark, markText(edit.kind, version), markTitle(edit.kind, version));
      }
    }
    for (const [widget, mark] of this.marks) {
      if (!marked.has(widget)) {
        mark.remove();
        this.marks.delete(widget);
      }
    }
  }

  private add(widget: Cell): HTMLElement {
    const mark = document.createElement('span');
    mark.className = 'jp-pdflow-mark';
    widget.node.append(mark);
    this.marks.set(widget, mark);
    return mark;
  }
}

function setText(mark: HTMLElement, text: string, title: string): void {
  if (mark.textContent !== text) {
    mark.textContent = text;
    mark.title = title;
  }
}
