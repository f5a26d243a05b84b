import type { INotebookContent } from '@jupyterlab/nbformat';
import type { Output } from '../core/types';
import { joinLines } from '../core/values/multiline';

const SVG = 'image/svg+xml';
const WIDGET = 'application/vnd.jupyter.widget-view+json';

/**
 * Return an output without what an untrusted notebook can't show.
 *
 * An SVG becomes an image, in which no script runs. A widget has no kernel, so its text is shown.
 */
export function safeOutput(output: Output): Output {
  const { data } = output;
  if (typeof data !== 'object' || data === null || !(SVG in data || WIDGET in data)) {
    return output;
  }
  const others = { ...(data as Record<string, unknown>) };
  const svg = others[SVG];
  Reflect.deleteProperty(others, SVG);
  Reflect.deleteProperty(others, WIDGET);
  if (svg !== undefined) {
    const alt = joinLines(others['text/plain']);
    return { ...output, data: { ...others, 'text/html': imageOf(joinLines(svg), alt) } };
  }
  const isAll = Object.keys(others).length === 0;
  return { ...output, data: isAll ? { 'text/plain': 'A widget' } : others };
}

/** Return a notebook whose cells can't be edited, and none of whose outputs are trusted. */
export function asReadOnly(notebook: INotebookContent): INotebookContent {
  const cells = notebook.cells.map(cell => ({
    ...cell,
    metadata: { ...cell.metadata, editable: false, trusted: false }
  }));
  return { ...notebook, cells };
}

function imageOf(svg: string, alt: string): string {
  const image = document.createElement('img');
  image.src = `data:${SVG};charset=utf-8,${encodeURIComponent(svg)}`;
  image.alt = alt || 'Image';
  return image.outerHTML;
}
