import { el, setText, uniqueId } from './dom';

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

type Choice = number | string;

/** The inputs of one field, and what is entered in them. */
interface Control {
  /** The element that shows the inputs. */
  node: HTMLElement;
  inputs: HTMLElement[];
  /** Return what is entered, or undefined if nothing is. */
  value: () => unknown;
  /** Return what is wrong with a text that the browser can't read, or null. */
  problem?: () => string | null;
}

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

/** One field of a form: its label, description, inputs and error. */
export class AskField {
  readonly node: HTMLElement;
  private readonly control: Control;
  private readonly error: HTMLElement;
  private readonly description: HTMLElement | null;

  /**
   * @param name - the property of the answer
   * @param schema - the property's schema
   * @param required - whether an answer must have the property
   */
  constructor(
    readonly name: string,
    private readonly schema: FieldSchema,
    private readonly required: boolean
  ) {
    const id = uniqueId();
    this.control = makeControl(schema, { id, name, required: this.isNeeded, kept: this.isKept });
    this.error = el('p', { class: 'problem', id: `${id}-problem` });
    const { description } = schema;
    this.description = description
      ? el('p', { class: 'description', id: `${id}-description` }, description)
      : null;
    this.node = this.arrange(id);
    this.showError('');
  }

  /** Return what is entered, or undefined if nothing is. */
  value(): unknown {
    return this.control.value();
  }

  /** Return what is wrong with a text that the browser can't read, or null. */
  problem(): string | null {
    return this.control.problem?.() ?? null;
  }

  /** Show what is wrong; an empty text if nothing is. */
  showError(message: string): void {
    setText(this.error, message);
    const parts = [this.description?.id, message !== '' && this.error.id].filter(Boolean);
    for (const input of this.control.inputs) {
      if (parts.length > 0) {
        input.setAttribute('aria-describedby', parts.join(' '));
      } else {
        input.removeAttribute('aria-describedby');
      }
      input.setAttribute('aria-invalid', String(message !== ''));
    }
  }

  /** Focus the first input. */
  focus(): void {
    this.control.inputs.at(0)?.focus();
  }

  private get hasDefault(): boolean {
    return this.schema.default !== undefined;
  }

  /** Whether a person has to enter something. */
  private get isNeeded(): boolean {
    return this.required && !this.hasDefault;
  }

  /** Whether a list without a choice is a value, and not the same as no answer. */
  private get isKept(): boolean {
    return this.required || (Array.isArray(this.schema.default) && this.schema.default.length > 0);
  }

  private arrange(id: string): HTMLElement {
    const { type, format } = this.schema;
    const label = this.schema.title ?? inWords(this.name);
    const hints = [
      format === 'date-time' && 'UTC',
      !this.required && !this.hasDefault && type !== 'boolean' && 'optional'
    ].filter(Boolean);
    const hint = hints.length > 0 && el('span', { class: 'hint' }, ` (${hints.join(', ')})`);
    const { node } = this.control;
    if (type === 'boolean') {
      const box = el('label', { class: 'check' }, node, el('span', {}, label));
      return el('div', { class: 'field' }, box, this.description, this.error);
    }
    if (type === 'array') {
      const legend = el('legend', {}, label, hint);
      return el('fieldset', { class: 'field' }, legend, this.description, node, this.error);
    }
    const title = el('label', { for: id }, label, hint);
    return el('div', { class: 'field' }, title, this.description, node, this.error);
  }
}

interface ControlOptions {
  id: string;
  name: string;
  required: boolean;
  kept: boolean;
}

function makeControl(schema: FieldSchema, options: ControlOptions): Control {
  if (schema.enum !== undefined) {
    return makeSelect(schema, schema.enum, options);
  }
  switch (schema.type) {
    case 'boolean':
      return makeCheckbox(schema, options);
    case 'array':
      return makeCheckboxes(schema, options);
    case 'integer':
    case 'number':
      return makeNumber(schema, options);
    default:
      return makeText(schema, options);
  }
}

function makeCheckbox({ default: value }: FieldSchema, { id, name }: ControlOptions): Control {
  const input = el('input', { type: 'checkbox', id, name });
  input.checked = value === true;
  return { node: input, inputs: [input], value: () => input.checked };
}

function makeCheckboxes(schema: FieldSchema, { name, kept }: ControlOptions): Control {
  const choices = schema.items?.enum ?? [];
  const chosen = Array.isArray(schema.default) ? schema.default : [];
  const boxes = choices.map(choice => {
    const input = el('input', { type: 'checkbox', name, value: choice });
    input.checked = chosen.includes(choice);
    return input;
  });
  const labels = boxes.map((box, number) =>
    el('label', { class: 'check' }, box, el('span', {}, String(choices[number])))
  );
  const value = (): Choice[] | undefined => {
    const found = choices.filter((_, number) => boxes[number].checked);
    return found.length > 0 || kept ? found : undefined;
  };
  return { node: el('div', { class: 'checks' }, ...labels), inputs: boxes, value };
}

function makeSelect(schema: FieldSchema, choices: Choice[], options: ControlOptions): Control {
  const { id, name, required } = options;
  const select = el('select', { id, name, required });
  const at = choices.findIndex(choice => choice === schema.default);
  if (at < 0) {
    select.append(el('option', { value: '' }, required ? 'Choose…' : 'No choice'));
  }
  select.append(
    ...choices.map((choice, number) => el('option', { value: number }, String(choice)))
  );
  select.value = at < 0 ? '' : String(at);
  const value = (): Choice | undefined =>
    select.value === '' ? undefined : choices[Number(select.value)];
  return { node: select, inputs: [select], value };
}

function makeNumber(schema: FieldSchema, { id, name, required }: ControlOptions): Control {
  const isWhole = schema.type === 'integer';
  const beyond = (bound: number | undefined, by: number): number | undefined =>
    bound === undefined || !isWhole ? bound : bound + by;
  const input = el('input', {
    type: 'number',
    id,
    name,
    required,
    min: schema.minimum ?? beyond(schema.exclusiveMinimum, 1),
    max: schema.maximum ?? beyond(schema.exclusiveMaximum, -1),
    step: schema.multipleOf ?? (isWhole ? 1 : 'any'),
    inputmode: isWhole ? 'numeric' : 'decimal',
    autocomplete: 'off'
  });
  input.value = typeof schema.default === 'number' ? String(schema.default) : '';
  const value = (): number | string | undefined => exactNumber(input.value);
  return { node: input, inputs: [input], value, problem: () => unreadable(input) };
}

/** Return a number, or its text if JavaScript would round it; the server reads both. */
function exactNumber(text: string): number | string | undefined {
  if (text === '') {
    return undefined;
  }
  const number = Number(text);
  return Number.isInteger(number) && !Number.isSafeInteger(number) ? text : number;
}

function makeText(schema: FieldSchema, { id, name, required }: ControlOptions): Control {
  const { format = '', minLength, maxLength } = schema;
  const attributes = { id, name, required, autocomplete: 'off' };
  const lengths = { minlength: minLength, maxlength: maxLength };
  const initial = typeof schema.default === 'string' ? schema.default : '';
  if (format === 'textarea') {
    const area = el('textarea', { ...attributes, ...lengths, rows: 3, class: 'prose' });
    area.value = initial;
    return { node: area, inputs: [area], value: () => area.value || undefined };
  }
  const isTime = format === 'date-time';
  const type = INPUT_TYPES[format] ?? 'text';
  const input = el('input', { ...attributes, ...(format.startsWith('date') ? {} : lengths), type });
  input.value = isTime ? toLocalInput(initial) : initial;
  const value = (): string | undefined =>
    input.value === '' ? undefined : isTime ? fromLocalInput(input.value) : input.value;
  return { node: input, inputs: [input], value, problem: () => unreadable(input) };
}

function unreadable(input: HTMLInputElement): string | null {
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
