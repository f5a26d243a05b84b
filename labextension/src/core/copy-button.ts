import { button, el, focusedElement, restoreFocus } from './dom';

/** How long the status stays beside the button. */
const STATUS_MS = 2000;

/**
 * Return a button that copies a text and shows whether that worked.
 *
 * @param text - returns the text to copy; called at the click
 * @param name - the button's accessible name, such as "Copy the resume link"
 */
export function copyButton(text: () => string, name: string, label = 'Copy'): HTMLElement {
  const status = el('span', { class: 'copy-status', role: 'status' });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onClick = async (): Promise<void> => {
    node.after(status);
    status.textContent = (await copy(text(), node)) ? 'Copied' : 'Could not copy';
    clearTimeout(timer);
    timer = setTimeout(() => status.remove(), STATUS_MS);
  };
  const node = button(label, () => void onClick(), { class: 'button small', 'aria-label': name });
  return el('span', { class: 'copy' }, node);
}

async function copy(text: string, near: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text, near);
  }
}

/** Copy through a text area, because `navigator.clipboard` exists only in secure contexts. */
function copyBySelection(text: string, near: HTMLElement): boolean {
  const active = focusedElement(near);
  const area = el('textarea', { class: 'offscreen', 'aria-hidden': 'true', tabindex: -1 });
  area.value = text;
  near.after(area);
  try {
    area.select();
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    return document.execCommand('copy');
  } catch {
    return false;
  } finally {
    area.remove();
    restoreFocus(near, active);
  }
}
