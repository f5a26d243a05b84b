import type { IOutput } from '@jupyterlab/nbformat';
import { OutputAreaModel, SimplifiedOutputArea } from '@jupyterlab/outputarea';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { Widget } from '@lumino/widgets';
import type { Output } from '../core/types';

/**
 * Make a function that draws outputs as a notebook that is not trusted does: HTML is cleaned, and
 * scripts are not run. Whose code made them is not known here.
 */
export function outputRenderer(
  rendermime: IRenderMimeRegistry
): (outputs: Output[], node: HTMLElement) => void {
  const drawn = new WeakMap<HTMLElement, Widget>();
  return (outputs, node) => {
    drawn.get(node)?.dispose();
    const model = new OutputAreaModel({ values: outputs as unknown as IOutput[], trusted: false });
    const area = new SimplifiedOutputArea({ model, rendermime });
    drawn.set(node, area);
    if (node.isConnected) {
      Widget.attach(area, node);
    } else {
      node.append(area.node);
    }
  };
}
