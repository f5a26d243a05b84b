/** The fields of a form: how each is drawn from its JSON Schema, and what is entered in it. */
import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';

type Choice = number | string;

/** The JSON Schema of one field, as the server sends it. */
export interface FieldSchema {
  type?: 'array' | 'boolean' | 'integer' | 'number' | 'string';
  format?: string;
  enum?: Choice[];
  items?: { enum: Choice[] };
  title?: string;
  description?: string;
  default?: unknown;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
}

/** One field of a form. */
export interface Field {
  /** The property of the answer. */
  name: string;
  schema: FieldSchema;
  /** Whether an answer must have the property. */
  required: boolean;
  /** The id of the field's input. */
  id: string;
  /** What is wrong with what is entered, or an empty text. */
  problem: string;
}

/** What is entered in a field. */
export interface Entry {
  /** The value, or undefined if nothing is entered. */
  value: unknown;
  /** What is wrong with a text that the browser can't read, or null. */
  problem: string | null;
}

type Input = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

/** The types of inputs for the formats of texts. */
const INPUT_TYPES: Record<string, string> = {
  date: 'date',
  'date-time': 'datetime-local',
  email: 'email',
  uri: 'url'
};

/** What to do if the browser can't read an input, by its type. */
const UNREADABLE: Record<string, string> = {
  number: 'Enter a number.',
  date: 'Enter a date, or nothing.',
  'datetime-local': 'Enter a date and a time, or nothing.'
};

/** Return a field: its label, description, inputs and problem. */
export function askField(field: Field): TemplateResult {
  const { schema, id, problem } = field;
  const description = schema.description
    ? html`<p class="jp-PDFlow-description" id="${id}-description">${schema.description}</p>`
    : nothing;
  const error = html`<p class="jp-PDFlow-problem" id="${id}-problem">${problem}</p>`;
  if (schema.type === 'boolean') {
    return html`<div class="jp-PDFlow-field">
      ${checkbox(field, labelText(field), '', schema.default === true, id)} ${description} ${error}
    </div>`;
  }
  const label = html`${labelText(field)}${hint(field)}`;
  if (schema.type === 'array') {
    return html`<fieldset class="jp-PDFlow-field">
      <legend>${label}</legend>
      ${description}${checkboxes(field)}${error}
    </fieldset>`;
  }
  return html`<div class="jp-PDFlow-field">
    <label for=${id}>${label}</label>${description}${control(field)}${error}
  </div>`;
}

/** Return what is entered in the element of a field. */
export function readEntry({ schema, required }: Field, element: Element): Entry {
  const inputs = [...element.querySelectorAll<Input>('input, select, textarea')];
  if (schema.type === 'array') {
    const choices = schema.items?.enum ?? [];
    const chosen = choices.filter((_, at) => (inputs[at] as HTMLInputElement).checked);
    const hasValue = chosen.length > 0 || isListKept(schema, required);
    return { value: hasValue ? chosen : undefined, problem: null };
  }
  const input = inputs[0];
  if (schema.type === 'boolean') {
    return { value: (input as HTMLInputElement).checked, problem: null };
  }
  const value = input.value === '' ? undefined : readText(schema, input.value);
  return { value, problem: unreadable(input) };
}

/** Return `dueDate` and `due_date` as `Due date`; abbreviations stay. */
export function inWords(name: string): string {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .split(/[\s_-]+/)
    .filter(Boolean)
    .map(word => (word === word.toUpperCase() ? word : word.toLowerCase()));
  const text = words.join(' ') || name;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function labelText({ schema, name }: Field): string {
  return schema.title ?? inWords(name);
}

function hint({ schema, required }: Field): unknown {
  const isOptional = !required && schema.default === undefined;
  const hints = [schema.format === 'date-time' && 'UTC', isOptional && 'optional'].filter(Boolean);
  return hints.length === 0
    ? nothing
    : html`<span class="jp-PDFlow-hint"> (${hints.join(', ')})</span>`;
}

/** Return the ids of the elements that describe an input. */
function describedBy({ schema, id, problem }: Field): unknown {
  const ids = [schema.description && `${id}-description`, problem !== '' && `${id}-problem`];
  return ids.filter(Boolean).join(' ') || nothing;
}

/** Whether a person has to enter something. */
function isNeeded({ schema, required }: Field): boolean {
  return required && schema.default === undefined;
}

/** Return whether a list without a choice is a value, and not the same as no answer. */
function isListKept({ default: value }: FieldSchema, required: boolean): boolean {
  return required || (Array.isArray(value) && value.length > 0);
}

function control(field: Field): TemplateResult {
  const { schema } = field;
  if (schema.enum !== undefined) {
    return select(field, schema.enum);
  }
  return schema.format === 'textarea' ? textArea(field) : input(field);
}

function checkbox(
  field: Field,
  label: string,
  value: string,
  checked: boolean,
  id?: string
): TemplateResult {
  return html`<label class="jp-PDFlow-check"
    ><input
      type="checkbox"
      id=${id ?? nothing}
      name=${field.name}
      value=${value || 'on'}
      .defaultChecked=${checked}
      aria-describedby=${describedBy(field)}
      aria-invalid=${field.problem !== ''}
    /><span>${label}</span></label
  >`;
}

function checkboxes(field: Field): TemplateResult {
  const { schema } = field;
  const chosen: unknown[] = Array.isArray(schema.default) ? schema.default : [];
  const boxes = (schema.items?.enum ?? []).map(choice =>
    checkbox(field, String(choice), String(choice), chosen.includes(choice))
  );
  return html`<div class="jp-PDFlow-checks">${boxes}</div>`;
}

function select(field: Field, choices: Choice[]): TemplateResult {
  const chosen = choices.findIndex(choice => choice === field.schema.default);
  const none = html`<option value="">${isNeeded(field) ? 'Choose…' : 'No choice'}</option>`;
  return html`<select
    id=${field.id}
    name=${field.name}
    ?required=${isNeeded(field)}
    aria-describedby=${describedBy(field)}
    aria-invalid=${field.problem !== ''}
  >
    ${chosen < 0 ? none : nothing}
    ${choices.map(
      (choice, at) =>
        html`<option value=${at} .defaultSelected=${at === chosen}>${String(choice)}</option>`
    )}
  </select>`;
}

/** Return the bounds of a number. */
function bounds(schema: FieldSchema): Partial<Record<'max' | 'min' | 'step', unknown>> {
  const isWhole = schema.type === 'integer';
  const beyond = (bound: number | undefined, by: number): number | undefined =>
    bound === undefined || !isWhole ? bound : bound + by;
  return {
    min: schema.minimum ?? beyond(schema.exclusiveMinimum, 1),
    max: schema.maximum ?? beyond(schema.exclusiveMaximum, -1),
    step: schema.multipleOf ?? (isWhole ? 1 : 'any')
  };
}

function textArea(field: Field): TemplateResult {
  return html`<textarea
    class="jp-PDFlow-prose"
    rows="3"
    id=${field.id}
    name=${field.name}
    ?required=${isNeeded(field)}
    minlength=${field.schema.minLength ?? nothing}
    maxlength=${field.schema.maxLength ?? nothing}
    autocomplete="off"
    .defaultValue=${defaultText(field.schema)}
    aria-describedby=${describedBy(field)}
    aria-invalid=${field.problem !== ''}
  ></textarea>`;
}

function input(field: Field): TemplateResult {
  const { type, format = '', minLength, maxLength } = field.schema;
  const isNumber = type === 'integer' || type === 'number';
  const { min, max, step } = isNumber ? bounds(field.schema) : {};
  const isDate = format.startsWith('date');
  return html`<input
    type=${isNumber ? 'number' : (INPUT_TYPES[format] ?? 'text')}
    id=${field.id}
    name=${field.name}
    ?required=${isNeeded(field)}
    min=${min ?? nothing}
    max=${max ?? nothing}
    step=${step ?? nothing}
    inputmode=${isNumber ? (type === 'integer' ? 'numeric' : 'decimal') : nothing}
    minlength=${(isDate ? null : minLength) ?? nothing}
    maxlength=${(isDate ? null : maxLength) ?? nothing}
    autocomplete="off"
    .defaultValue=${defaultText(field.schema)}
    aria-describedby=${describedBy(field)}
    aria-invalid=${field.problem !== ''}
  />`;
}

function defaultText({ default: value, format }: FieldSchema): string {
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  return format === 'date-time' ? toLocalInput(text) : text;
}

function readText(schema: FieldSchema, text: string): unknown {
  if (schema.enum !== undefined) {
    return schema.enum[Number(text)];
  }
  if (schema.type === 'integer' || schema.type === 'number') {
    return exactNumber(text);
  }
  return schema.format === 'date-time' ? fromLocalInput(text) : text;
}

/** Return a number, or its text if JavaScript would round it; the server reads both. */
function exactNumber(text: string): number | string {
  const number = Number(text);
  return Number.isInteger(number) && !Number.isSafeInteger(number) ? text : number;
}

function unreadable(input: Input): string | null {
  return input.validity.badInput ? (UNREADABLE[input.type] ?? 'This can’t be read.') : null;
}

/** Return an instant as an input of type `datetime-local` has it, in UTC. */
function toLocalInput(text: string): string {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? '' : at.toISOString().replace(/(:00)?(\.000)?Z$/, '');
}

/** Return the instant that is entered as UTC. */
function fromLocalInput(text: string): string {
  return `${text}${/T\d\d:\d\d$/.test(text) ? ':00' : ''}Z`;
}
