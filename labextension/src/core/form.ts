import type { Child } from './dom';
import { el } from './dom';

/** What becomes of a question. */
export interface FormCallbacks {
  /** It was answered. */
  onSubmit: () => void;
  /** It was left with the Escape key. */
  onLeave: () => void;
}

/**
 * Make a form that asks before something is done; it is hidden at first.
 *
 * @param name - its class
 * @param events - what becomes of it
 * @param children - elements in it, a submit button among them
 */
export function confirmationForm(
  name: string,
  { onSubmit, onLeave }: FormCallbacks,
  ...children: Child[]
): HTMLFormElement {
  const form = el('form', { class: name, hidden: true }, ...children);
  form.addEventListener('submit', event => {
    event.preventDefault();
    onSubmit();
  });
  form.addEventListener('keydown', event => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      onLeave();
    }
  });
  return form;
}

/** Make a label and its field, with a hint behind the label. */
export function labeledField(label: string, hint: string, field: HTMLElement): HTMLElement {
  return el(
    'div',
    { class: 'field' },
    el('label', { for: field.id }, label, el('span', { class: 'hint' }, ` (${hint})`)),
    field
  );
}
