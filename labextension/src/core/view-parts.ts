import { el, setVisible } from './dom';
import type { ResolveLink } from './json-tree';
import { jsonTree } from './json-tree';
import type { Host } from './host';
import { renderPlainOutputs } from './plain-outputs';
import { fullTime, shortTime } from './times';
import type { Output, StepError } from './types';
import { stripAnsi } from './formatting';

/** A place for a value: it is drawn anew only when the value is another one. */
export class ValueView<T> {
  readonly node = el('div', { hidden: true });
  private shownJson: string | null = null;

  /** @param draw - draws a value into the node */
  constructor(private readonly draw: (value: T, node: HTMLElement) => void) {}

  /** Show a value; null shows nothing. */
  update(value: T | null): void {
    const text = value === null ? null : JSON.stringify(value);
    if (text === this.shownJson) {
      return;
    }
    this.shownJson = text;
    this.node.replaceChildren();
    setVisible(this.node, value !== null);
    if (value !== null) {
      this.draw(value, this.node);
    }
  }
}

/** A slot for JSON; trees that were open stay open. */
export function treeView(resolveLink?: ResolveLink): ValueView<Record<string, unknown>> {
  return new ValueView((values, node) => {
    node.classList.add('jp-PDFlow-trees');
    node.append(
      ...Object.entries(values).map(([name, value]) => jsonTree(value, name, resolveLink))
    );
  });
}

/** A slot for the outputs of a step, drawn by the host where it can. */
export function outputsView(host: Host): ValueView<Output[]> {
  return new ValueView((outputs, node) => {
    node.classList.add('jp-PDFlow-outputs');
    if (host.renderOutputs) {
      host.renderOutputs(outputs, node);
    } else {
      renderPlainOutputs(outputs, node);
    }
  });
}

/** A slot for an error, with the lines of the author's own frames. */
export function errorView(): ValueView<StepError> {
  return new ValueView((error, node) => {
    node.classList.add('jp-PDFlow-error');
    node.append(el('p', { class: 'error-message' }, stripAnsi(error.message)));
    const traceback = stripAnsi(error.traceback.join('\n'));
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
export function loadingNode(message = 'Loading…'): HTMLElement {
  return el('p', { class: 'loading', role: 'status' }, message);
}

/** Say that something went wrong, with a button that tries again. */
export function failureNode(message: string, retry: () => void): HTMLElement {
  const retryButton = el('button', { type: 'button', class: 'button' }, 'Try again');
  retryButton.addEventListener('click', retry);
  return el('div', { class: 'failure', role: 'alert' }, el('p', {}, message), retryButton);
}
