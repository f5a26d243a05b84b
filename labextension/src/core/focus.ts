/** Where the focus is, also in a shadow tree. */

/** Return the focused element of a node's document or shadow tree. */
function focusedElement(within: Node | undefined): Element | null {
  const root = within?.getRootNode();
  return root instanceof Document || root instanceof ShadowRoot ? root.activeElement : null;
}

/** Return whether the focus is in a node. */
export function hasFocus(node: Node | undefined): boolean {
  return node?.contains(focusedElement(node)) === true;
}

/** Return whether the focus is in a node, on an element that is not hidden. */
export function hasVisibleFocus(node: Node | undefined): boolean {
  return hasFocus(node) && focusedElement(node)?.closest('[hidden]') === null;
}

/** Return whether no element of the page has the focus. */
export function isFocusLost(near: Node): boolean {
  const focused = focusedElement(near);
  return focused === null || focused === document.body;
}

/** Return whether the focus is on a node itself. */
export function isFocused(node: Node): boolean {
  return focusedElement(node) === node;
}

/** Focus the first of some elements that is there. */
export function focusFirst(within: ParentNode, ...selectors: string[]): void {
  const found = selectors.map(selector => within.querySelector<HTMLElement>(selector));
  found.find(Boolean)?.focus({ preventScroll: true });
}
