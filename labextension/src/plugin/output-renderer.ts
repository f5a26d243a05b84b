import type { IOutput } from '@jupyterlab/nbformat';
import { OutputAreaModel, SimplifiedOutputArea } from '@jupyterlab/outputarea';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { Widget } from '@lumino/widgets';
import type { Output } from '../core/types';
import { safeOutput } from './safe-output';

/** The outputs that an element shows. */
interface Shown {
  model: OutputAreaModel;
  area: SimplifiedOutputArea;
  /** The JSON of each output. */
  keys: string[];
}

/**
 * Return a function that renders outputs as an untrusted notebook does.
 *
 * HTML is sanitized and scripts are not run, because the origin of the outputs is unknown. A call
 * with further outputs for the same element draws only what has changed, so that the outputs of a
 * running step do not flicker.
 */
export function outputRenderer(
  rendermime: IRenderMimeRegistry
): (outputs: readonly Output[], node: HTMLElement) => void {
  const shownIn = new WeakMap<HTMLElement, Shown>();
  return (outputs, node) => {
    const shown = shownIn.get(node) ?? makeArea(rendermime, node);
    shownIn.set(node, shown);
    show(shown, outputs.map(safeOutput));
  };
}

function makeArea(rendermime: IRenderMimeRegistry, node: HTMLElement): Shown {
  const model = new OutputAreaModel({ trusted: false });
  const area = new SimplifiedOutputArea({ model, rendermime });
  if (node.isConnected) {
    Widget.attach(area, node);
  } else {
    node.append(area.node);
  }
  return { model, area, keys: [] };
}

function show(shown: Shown, outputs: Output[]): void {
  const { model } = shown;
  const before = shown.keys;
  shown.keys = outputs.map(output => JSON.stringify(output));
  // The model joins the texts of a stream that follow each other, so that it may have fewer.
  if (outputs.length < before.length || model.length !== before.length) {
    model.fromJSON(outputs as unknown as IOutput[]);
    return;
  }
  outputs.forEach((output, index) => {
    if (index >= before.length) {
      model.add(output as unknown as IOutput);
    } else if (shown.keys[index] !== before[index]) {
      model.set(index, output as unknown as IOutput);
    }
  });
}
