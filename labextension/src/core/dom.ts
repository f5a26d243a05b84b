/** Helpers for the DOM. Data become text or attributes, never HTML. */

/** A child that {@link el} accepts. */
export type Child = Node | string | null | undefined | false;

/** Attributes of an element. Names in `class` are given without their prefix. */
export type Attributes = Record<string, string | number | boolean | null | undefined>;

const PREFIX = 'jp-PDFlow-';
/** Differs between the copies of this module in a page: the panel has one, and each widget. */
const COPY = Math.random().toString(36).slice(2, 10);
let lastId = 0;

/** Return class names with their prefix: `cls('row', 'open')` is `jp-PDFlow-row jp-PDFlow-open`. */
export function cls(...names: string[]): string {
  return names.map(name => PREFIX + name).join(' ');
}

/** Return an id that no other element of the page has. */
export function uniqueId(): string {
  lastId += 1;
  return `${PREFIX}${COPY}-${lastId}`;
}

/**
 * Return a new element.
 *
 * @param tag - the element's name
 * @param attributes - the element's attributes; false, null and undefined are left out
 * @param children - the element's children; strings become text
 */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) {
      continue;
    }
    const text = value === true ? '' : String(value);
    node.setAttribute(name, name === 'class' ? cls(...text.split(' ')) : text);
  }
  node.append(...children.filter(child => child instanceof Node || typeof child === 'string'));
  return node;
}

/** Return a button. */
export function button(
  label: string,
  onClick: () => void,
  attributes: Attributes = {}
): HTMLButtonElement {
  const node = el('button', { type: 'button', class: 'button', ...attributes }, label);
  node.addEventListener('click', onClick);
  return node;
}

/** Set a node's text if it differs, so that live regions announce only changes. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Show or hide a node. */
export function setVisible(node: HTMLElement, visible: boolean): void {
  if (node.hidden === visible) {
    node.hidden = !visible;
  }
}

/** Return the focused element of a node's document or shadow tree. */
export function focusedElement(within: Node): Element | null {
  const root = within.getRootNode();
  return root instanceof Document || root instanceof ShadowRoot ? root.activeElement : null;
}

/** Return whether the focus is in a node. */
export function hasFocus(node: Node): boolean {
  return node.contains(focusedElement(node));
}

/** Return whether the focus is in a node, on an element that is not hidden. */
export function hasVisibleFocus(node: Node): boolean {
  return hasFocus(node) && focusedElement(node)?.closest('[hidden]') === null;
}

/**
 * Make nodes the only children of a parent, in the given order.
 *
 * Nodes already in place are not moved, and the focus is kept.
 */
export function arrangeChildren(parent: Element, nodes: readonly Element[]): void {
  const active = focusedElement(parent);
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) {
    if (!wanted.has(child)) {
      child.remove();
    }
  }
  let next = parent.firstElementChild;
  for (const node of nodes) {
    if (node === next) {
      next = next.nextElementSibling;
    } else {
      parent.insertBefore(node, next);
    }
  }
  restoreFocus(parent, active);
}

/** Focus an element again that lost the focus because it was moved. */
export function restoreFocus(parent: Node, active: Element | null): void {
  if (active instanceof HTMLElement && active.isConnected && focusedElement(parent) !== active) {
    active.focus({ preventScroll: true });
  }
}
