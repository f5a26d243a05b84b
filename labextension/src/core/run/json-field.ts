import type { TemplateResult } from 'lit';
import { html } from 'lit';
import { labeledField } from '../parts';

/** A field for JSON that is checked on input. */
export interface JsonField {
  id: string;
  label: string;
  hint?: string;
  /** The text at first. */
  initial?: string;
  placeholder?: string;
  rows?: number;
  /** What is wrong with the text, or an empty text. */
  problem: string;
  onInput: (text: string) => void;
}

/** Return a field for JSON. What is entered stays when it is drawn again. */
export function jsonField(field: JsonField): TemplateResult {
  const { id, label, hint = '', problem } = field;
  const area = html`<textarea
      class="jp-PDFlow-payload"
      id=${id}
      rows=${field.rows ?? 2}
      spellcheck="false"
      autocomplete="off"
      placeholder=${field.placeholder ?? ''}
      .defaultValue=${field.initial ?? ''}
      aria-describedby="${id}-problem"
      aria-invalid=${problem !== ''}
      @input=${(event: Event) => field.onInput((event.target as HTMLTextAreaElement).value)}
    ></textarea>
    <div class="jp-PDFlow-problem" id="${id}-problem" role="status">${problem}</div>`;
  return labeledField(id, label, hint, area);
}
