import type { IOutput } from '@jupyterlab/nbformat';
import { OutputAreaModel, SimplifiedOutputArea } from '@jupyterlab/outputarea';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { Widget } from '@lumino/widgets';
import type { Output } from '../core/types';

/**
 * Return a function that renders outputs as an untrusted notebook does.
 *
 * HTML is sanitized and scripts are not run, because the origin of the outputs is unknown.
 */
export function outputRenderer(
  rendermime: IRenderMimeRegistry
): (outputs: Output[], node: HTMLElement) => void {
  const areas = new WeakMap<HTMLElement, Widget>();
  return (outputs, node) => {
    areas.get(node)?.dispose();
    const model = new OutputAreaModel({ values: outputs as unknown as IOutput[], trusted: false });
    const area = new SimplifiedOutputArea({ model, rendermime });
    areas.set(node, area);
    if (node.isConnected) {
      Widget.attach(area, node);
    } else {
      node.append(area.node);
    }
  };
}
