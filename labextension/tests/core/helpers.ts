import { vi } from 'vitest';

/** Return the first element that matches a selector. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
export function one<T extends HTMLElement = HTMLElement>(parent: ParentNode, selector: string): T {
  const found = parent.querySelector<T>(selector);
  if (found === null) {
    throw new Error(`There is no ${selector}.`);
  }
  return found;
}

/** Return a visible button by its text or its label. */
export function buttonOf(parent: ParentNode, label: string): HTMLButtonElement {
  const found = [...parent.querySelectorAll('button')].find(node => {
    const isNamed = [shownText(node), node.getAttribute('aria-label')].includes(label);
    return isNamed && node.closest('[hidden]') === null;
  });
  if (found === undefined) {
    throw new Error(`There is no button "${label}".`);
  }
  return found;
}

/** Enter text in a field. */
export function type(field: HTMLInputElement | HTMLTextAreaElement, text: string): void {
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
}

/** Select an option. */
export function choose(select: HTMLSelectElement, value: string): void {
  select.value = value;
  select.dispatchEvent(new Event('change', { bubbles: true }));
}

/** Advance the fake timers, and run the promises until then. */
export async function settle(ms = 500): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** Return an empty element that is the only one in the page. */
export function makeRoot(): HTMLElement {
  const root = document.createElement('div');
  document.body.replaceChildren(root);
  return root;
}

/** Return the visible text of a node. */
export function shownText(node: Element): string {
  if (node instanceof HTMLElement && node.hidden) {
    return '';
  }
  return [...node.childNodes]
    .filter(child => !(child instanceof Comment))
    .map(child => (child instanceof Element ? shownText(child) : (child.textContent ?? '')))
    .join(' ')
    .replace(/\s+/g, ' ')
    .trim();
}
