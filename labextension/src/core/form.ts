import type { Child } from './dom';
import { el } from './dom';

/** Callbacks of a confirmation form. */
export interface FormCallbacks {
  /** Called when the form is submitted. */
  onSubmit: () => void;
  /** Called when the Escape key is pressed. */
  onCancel: () => void;
}

/**
 * Return a form that asks for confirmation before an action. It is hidden at first.
 *
 * @param name - the form's class
 * @param callbacks - called when the form is submitted or canceled
 * @param children - the form's elements, with a submit button
 */
export function confirmationForm(
  name: string,
  { onSubmit, onCancel }: FormCallbacks,
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
      onCancel();
    }
  });
  return form;
}

/** Return a field with its label, and a hint in parentheses after the label. */
export function labeledField(label: string, hint: string, field: HTMLElement): HTMLElement {
  return el(
    'div',
    { class: 'field' },
    el('label', { for: field.id }, label, el('span', { class: 'hint' }, ` (${hint})`)),
    field
  );
}
