/** Small helpers for plain DOM. Data only ever become text or attributes, never HTML. */

/** What {@link el} takes as children. */
export type Child = Node | string | null | undefined | false;

/** Attributes of an element; `class` names are given without their prefix. */
export type Attributes = Record<string, string | number | boolean | null | undefined>;

const PREFIX = 'jp-PDFlow-';
let lastId = 0;

/** Make class names: `cls('row', 'open')` is `jp-PDFlow-row jp-PDFlow-open`. */
export function cls(...names: string[]): string {
  return names.map(name => PREFIX + name).join(' ');
}

/** Make an id that no other element of the page has. */
export function uniqueId(): string {
  lastId += 1;
  return `${PREFIX}${lastId}`;
}

/**
 * Make an element.
 *
 * @param tag - its name
 * @param attributes - its attributes; those that are false, null or undefined are left out
 * @param children - elements and texts in it
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

/** Make a button. */
export function button(
  label: string,
  onClick: () => void,
  attributes: Attributes = {}
): HTMLButtonElement {
  const node = el('button', { type: 'button', class: 'button', ...attributes }, label);
  node.addEventListener('click', onClick);
  return node;
}

/** Set a node's text, unless it is that already. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Show a node, or hide it. */
export function setVisible(node: HTMLElement, visible: boolean): void {
  if (node.hidden === visible) {
    node.hidden = !visible;
  }
}

/** The element that has the focus, also in a shadow tree. */
export function focusedElement(within: Node): Element | null {
  const root = within.getRootNode();
  return root instanceof Document || root instanceof ShadowRoot ? root.activeElement : null;
}

/** Whether the focus is in a node. */
export function hasFocus(node: Node): boolean {
  return node.contains(focusedElement(node));
}

/** Whether the focus is in a node, on something that is shown. */
export function hasVisibleFocus(node: Node): boolean {
  return hasFocus(node) && focusedElement(node)?.closest('[hidden]') === null;
}

/**
 * Make nodes the children of a parent, in that order, moving as few as needed and keeping the focus.
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

/** Give the focus back to an element that lost it by being moved. */
export function restoreFocus(parent: Node, active: Element | null): void {
  if (active instanceof HTMLElement && active.isConnected && focusedElement(parent) !== active) {
    active.focus({ preventScroll: true });
  }
}
