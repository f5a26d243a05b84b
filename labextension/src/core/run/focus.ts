/** Where the focus is, also in a shadow tree. */

/** Return whether the focus is in a node. */
export function hasFocus(node: Node | undefined): boolean {
  return node?.contains(focusedElement(node)) === true;
}

/** Return whether the focus is in a node, on an element that is not hidden. */
export function hasVisibleFocus(node: Node | undefined): boolean {
  return hasFocus(node) && focusedElement(node)?.closest('[hidden]') === null;
}

/** Return the focused element of a node's document or shadow tree. */
function focusedElement(within: Node | undefined): Element | null {
  const root = within?.getRootNode();
  return root instanceof Document || root instanceof ShadowRoot ? root.activeElement : null;
}
