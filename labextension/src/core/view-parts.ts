import { el, show } from './dom';
import type { LinkOf } from './json-tree';
import { jsonTree } from './json-tree';
import type { Host } from './host';
import { renderPlainOutputs } from './plain-outputs';
import { fullTime, shortTime } from './times';
import type { Output, StepError } from './types';
import { withoutAnsi } from './formatting';

/** A place for a value: it is drawn anew only when the value is another one. */
export class Slot<T> {
  readonly node = el('div', { hidden: true });
  private shown: string | null = null;

  /** @param draw - draws a value into the node */
  constructor(private readonly draw: (value: T, node: HTMLElement) => void) {}

  /** Show a value; null shows nothing. */
  update(value: T | null): void {
    const text = value === null ? null : JSON.stringify(value);
    if (text === this.shown) {
      return;
    }
    this.shown = text;
    this.node.replaceChildren();
    show(this.node, value !== null);
    if (value !== null) {
      this.draw(value, this.node);
    }
  }
}

/** A slot for JSON; trees that were open stay open. */
export function treeSlot(linkOf?: LinkOf): Slot<Record<string, unknown>> {
  return new Slot((values, node) => {
    node.classList.add('jp-PDFlow-trees');
    node.append(...Object.entries(values).map(([name, value]) => jsonTree(value, name, linkOf)));
  });
}

/** A slot for the outputs of a step, drawn by the host where it can. */
export function outputsSlot(host: Host): Slot<Output[]> {
  return new Slot((outputs, node) => {
    node.classList.add('jp-PDFlow-outputs');
    if (host.renderOutputs) {
      host.renderOutputs(outputs, node);
    } else {
      renderPlainOutputs(outputs, node);
    }
  });
}

/** A slot for an error, with the lines of the author's own frames. */
export function errorSlot(): Slot<StepError> {
  return new Slot((error, node) => {
    node.classList.add('jp-PDFlow-error');
    node.append(el('p', { class: 'error-message' }, withoutAnsi(error.message)));
    const traceback = withoutAnsi(error.traceback.join('\n'));
    if (traceback.trim() !== '') {
      node.append(
        el('pre', { class: 'traceback', tabindex: 0, 'aria-label': 'Traceback' }, traceback)
      );
    }
  });
}

/** Make the words of an instant; the whole of it is shown when they are pointed at. */
export function timeNode(stamp: string): HTMLTimeElement {
  const node = el('time', {});
  setTime(node, stamp);
  return node;
}

/** Let a node say another instant. */
export function setTime(node: HTMLTimeElement, stamp: string): void {
  if (node.dateTime !== stamp) {
    node.dateTime = stamp;
    node.textContent = shortTime(stamp);
    node.title = fullTime(stamp);
  }
}

/** Say that something is being loaded. */
export function loadingNode(words = 'Loading…'): HTMLElement {
  return el('p', { class: 'loading', role: 'status' }, words);
}

/** Say that something went wrong, with a button that tries again. */
export function failureNode(words: string, retry: () => void): HTMLElement {
  const again = el('button', { type: 'button', class: 'button' }, 'Try again');
  again.addEventListener('click', retry);
  return el('div', { class: 'failure', role: 'alert' }, el('p', {}, words), again);
}
