import { vi } from 'vitest';

/** Find the one element that a selector names. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
export function one<T extends HTMLElement = HTMLElement>(parent: ParentNode, selector: string): T {
  const found = parent.querySelector<T>(selector);
  if (found === null) {
    throw new Error(`There is no ${selector}.`);
  }
  return found;
}

/** Find a button that is shown, by its words or its label. */
export function buttonOf(parent: ParentNode, words: string): HTMLButtonElement {
  const found = [...parent.querySelectorAll('button')].find(node => {
    const named = [node.textContent, node.getAttribute('aria-label')].includes(words);
    return named && node.closest('[hidden]') === null;
  });
  if (found === undefined) {
    throw new Error(`There is no button "${words}".`);
  }
  return found;
}

/** Type a text into a field. */
export function type(field: HTMLInputElement | HTMLTextAreaElement, text: string): void {
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
}

/** Choose an option. */
export function choose(select: HTMLSelectElement, value: string): void {
  select.value = value;
  select.dispatchEvent(new Event('change', { bubbles: true }));
}

/** Let all that is under way and delayed happen, without waiting for it. */
export async function settle(ms = 500): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** Make an element in the page. */
export function makeRoot(): HTMLElement {
  const root = document.createElement('div');
  document.body.replaceChildren(root);
  return root;
}

/** The text of a node that is shown. */
export function shownText(node: Element): string {
  if (node instanceof HTMLElement && node.hidden) {
    return '';
  }
  return [...node.childNodes]
    .map(child => (child instanceof Element ? shownText(child) : (child.textContent ?? '')))
    .join(' ')
    .replace(/\s+/g, ' ')
    .trim();
}
