/** Return the focused element of a node's document or shadow tree. */
function focusedElement(within: Node): Element | null {
  const root = within.getRootNode();
  return root instanceof Document || root instanceof ShadowRoot ? root.activeElement : null;
}

/** Return whether the focus is in a node. */
export function hasFocus(node: Node): boolean {
  return node.contains(focusedElement(node));
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
