import { el, setVisible } from './dom';
import { stripAnsi } from './formatting';
import type { Host } from './host';
import type { ResolveLink } from './json-tree';
import { jsonTree } from './json-tree';
import { renderPlainOutputs } from './plain-outputs';
import { fullTime, shortTime } from './times';
import type { Output, StepError } from './types';

/** An element that shows a value, and is drawn again only when the value changes. */
export class ValueView<T> {
  readonly node = el('div', { hidden: true });
  private shownJson: string | null = null;

  /** @param draw - draws a value into the element */
  constructor(private readonly draw: (value: T, node: HTMLElement) => void) {}

  /** Show a value, or nothing for null. */
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

/** Return a view of JSON values by name. Expanded trees stay so while the values are equal. */
export function treeView(resolveLink?: ResolveLink): ValueView<Record<string, unknown>> {
  return new ValueView((values, node) => {
    node.classList.add('jp-PDFlow-trees');
    node.append(
      ...Object.entries(values).map(([name, value]) => jsonTree(value, name, resolveLink))
    );
  });
}

/** Return a view of a step's outputs, rendered by the host if it can. */
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

/** Return a view of an error, with its traceback. */
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

/** Return an element that shows an instant, with the full date as its tooltip. */
export function timeNode(stamp: string): HTMLTimeElement {
  const node = el('time', {});
  setTime(node, stamp);
  return node;
}

/** Change the instant that an element shows. */
export function setTime(node: HTMLTimeElement, stamp: string): void {
  if (node.dateTime !== stamp) {
    node.dateTime = stamp;
    node.textContent = shortTime(stamp);
    node.title = fullTime(stamp);
  }
}

/** Return a notice that something is loading. */
export function loadingNode(message = 'Loading…'): HTMLElement {
  return el('p', { class: 'loading', role: 'status' }, message);
}

/** Return an error notice, with a button that tries again. */
export function failureNode(message: string, retry: () => void): HTMLElement {
  const retryButton = el('button', { type: 'button', class: 'button' }, 'Try again');
  retryButton.addEventListener('click', retry);
  return el('div', { class: 'failure', role: 'alert' }, el('p', {}, message), retryButton);
}
