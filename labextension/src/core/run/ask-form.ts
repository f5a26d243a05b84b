import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { Component, uniqueId } from '../component';
import type { FieldError } from '../types';
import type { Field, FieldSchema } from './ask-fields';
import { askField, readEntry } from './ask-fields';

export type { FieldSchema } from './ask-fields';

/** The JSON Schema of an answer: an object whose properties are single values or choices. */
export interface FormSchema {
  title?: string;
  description?: string;
  properties: Record<string, FieldSchema>;
  required?: string[];
}

/** What is entered in a form. */
export interface FormState {
  /** The answer; empty inputs are left out. */
  answer: Record<string, unknown>;
  /** What is wrong with inputs that the browser can't read. */
  problems: FieldError[];
  /** Whether anything was entered that was not there at first. */
  isEdited: boolean;
}

/** The properties of {@link askForm}. */
export interface AskFormProps {
  schema: FormSchema;
  /**
   * What is wrong with the fields, by the server's check. A new list is shown at the fields, and
   * the first of them gets the focus.
   */
  errors: readonly FieldError[];
  /** Called once at first, and after each change by the person. */
  onInput: (state: FormState) => void;
}

/** Return the messages of errors that belong to none of a form's fields. */
export function otherMessages(schema: FormSchema, errors: readonly FieldError[]): string[] {
  return errors
    .filter(({ field }) => !Object.hasOwn(schema.properties, field))
    .map(({ field, message }) => (field === '' ? message : `${field}: ${message}`));
}

class AskForm extends Component<AskFormProps> {
  private readonly id = uniqueId();
  private readonly root = createRef<HTMLElement>();
  private messages = new Map<string, string>();
  private initial: string | null = null;

  protected override start(): void {
    queueMicrotask(() => {
      this.report();
      if (this.props.errors.length > 0) {
        this.takeErrors();
        this.requestUpdate();
      }
    });
  }

  protected override propsChanged({ errors }: AskFormProps): void {
    if (errors !== this.props.errors) {
      this.takeErrors();
    }
  }

  protected template(): unknown {
    const { title, description } = this.props.schema;
    return html`<div
      class="jp-PDFlow-form"
      role="group"
      aria-label=${title ?? 'Answer'}
      ${ref(this.root)}
      @input=${this.onInput}
    >
      ${description ? html`<p class="jp-PDFlow-description">${description}</p>` : nothing}
      ${this.fields.map(askField)}
    </div>`;
  }

  private get fields(): Field[] {
    const { properties, required = [] } = this.props.schema;
    return Object.entries(properties).map(([name, schema], at) => {
      const problem = this.messages.get(name) ?? '';
      return { name, schema, required: required.includes(name), id: `${this.id}-${at}`, problem };
    });
  }

  private get elements(): Element[] {
    return [...(this.root.value?.querySelectorAll('.jp-PDFlow-field') ?? [])];
  }

  private takeErrors(): void {
    const { errors } = this.props;
    this.messages = new Map(errors.map(({ field, message }) => [field, message]));
    const first = this.fields.findIndex(({ name }) => this.messages.has(name));
    if (first >= 0) {
      this.elements.at(first)?.querySelector<HTMLElement>('input, select, textarea')?.focus();
    }
  }

  private readonly onInput = ({ target }: Event): void => {
    const at = this.elements.findIndex(element => element.contains(target as Node));
    const field = this.fields.at(at);
    if (at >= 0 && field !== undefined && this.messages.delete(field.name)) {
      this.requestUpdate();
    }
    this.report();
  };

  private read(): Omit<FormState, 'isEdited'> {
    const { elements } = this;
    const entries = this.fields.map((field, at) => {
      return { field: field.name, ...readEntry(field, elements[at]) };
    });
    const given = entries.filter(({ value }) => value !== undefined);
    return {
      answer: Object.fromEntries(given.map(({ field, value }) => [field, value])),
      problems: entries.flatMap(({ field, problem: message }) =>
        message === null ? [] : [{ field, message }]
      )
    };
  }

  private readonly report = (): void => {
    if (!this.isConnected) {
      return;
    }
    const { answer, problems } = this.read();
    const text = JSON.stringify(answer);
    this.initial ??= text;
    const isEdited = text !== this.initial || problems.length > 0;
    this.props.onInput({ answer, problems, isEdited });
  };
}

/** The fields that a pause asks for, drawn from its JSON Schema. */
export const askForm = directive(AskForm);
