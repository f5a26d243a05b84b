import type { FieldSchema } from './ask-fields';
import { AskField } from './ask-fields';
import { el } from './dom';
import type { FieldError } from './types';

/** The JSON Schema of an answer: an object whose properties are single values or choices. */
export interface FormSchema {
  title?: string;
  description?: string;
  properties: Record<string, FieldSchema>;
  required?: string[];
}

/** The fields that a pause asks for, drawn from its JSON Schema. */
export class AskForm {
  readonly node: HTMLElement;
  private readonly fields: AskField[];
  private readonly initial: string;

  /**
   * @param schema - the schema, which the server has checked
   * @param onInput - called after each change by the person
   */
  constructor(schema: FormSchema, onInput: () => void) {
    const { title, description, properties, required = [] } = schema;
    this.fields = Object.entries(properties).map(
      ([name, field]) => new AskField(name, field, required.includes(name))
    );
    this.node = el(
      'div',
      { class: 'form', role: 'group', 'aria-label': title ?? 'Answer' },
      description ? el('p', { class: 'description' }, description) : null,
      ...this.fields.map(field => field.node)
    );
    for (const field of this.fields) {
      field.node.addEventListener('input', () => {
        field.showError('');
        onInput();
      });
    }
    this.initial = this.state();
  }

  /** Whether anything was entered that was not there at first. */
  get isEdited(): boolean {
    return this.state() !== this.initial || this.problems().length > 0;
  }

  /** Return what is entered. Empty inputs are left out. */
  answer(): Record<string, unknown> {
    const entries = this.fields.map(field => [field.name, field.value()] as const);
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  }

  /** Return what is wrong with inputs that the browser can't read. */
  problems(): FieldError[] {
    return this.fields.flatMap(field => {
      const message = field.problem();
      return message === null ? [] : [{ field: field.name, message }];
    });
  }

  /**
   * Show errors at their fields, and focus the first one.
   *
   * @returns the messages that belong to none of the fields
   */
  showErrors(errors: readonly FieldError[]): string[] {
    const messages = new Map(errors.map(({ field, message }) => [field, message]));
    this.fields.forEach(field => field.showError(messages.get(field.name) ?? ''));
    this.fields.find(field => messages.has(field.name))?.focus();
    const names = new Set(this.fields.map(field => field.name));
    return errors.filter(({ field }) => !names.has(field)).map(fullMessage);
  }

  private state(): string {
    return JSON.stringify(this.answer());
  }
}

function fullMessage({ field, message }: FieldError): string {
  return field === '' ? message : `${field}: ${message}`;
}
