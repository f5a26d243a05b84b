import { beforeEach, describe, expect, it, vi } from 'vitest';

import { mount } from '../../../src/core/component';
import { inWords } from '../../../src/core/run/ask-fields';
import type { FormSchema, FormState } from '../../../src/core/run/ask-form';
import { askForm, otherMessages } from '../../../src/core/run/ask-form';
import type { FieldError } from '../../../src/core/types';
import { choose, makeRoot, one, type } from '../helpers';

const SCHEMA: FormSchema = {
  properties: {
    reason: { type: 'string', minLength: 2, maxLength: 40 },
    comment: { type: 'string', format: 'textarea', description: 'What the team should know.' },
    amount: { type: 'number', title: 'Amount in €', exclusiveMinimum: 0, maximum: 9.5 },
    copies: { type: 'integer', exclusiveMinimum: 0, maximum: 9, default: 2 },
    urgent: { type: 'boolean' },
    level: { enum: ['low', 'high'] },
    grade: { enum: [1, 2], default: 2 },
    teams: { type: 'array', items: { enum: ['ops', 'law', 3] }, default: ['law'] },
    tags: { type: 'array', items: { enum: ['a', 'b'] } },
    day: { type: 'string', format: 'date' },
    due_at: { type: 'string', format: 'date-time', default: '2026-12-01T10:20:00+02:00' },
    mail: { type: 'string', format: 'email' },
    page: { type: 'string', format: 'uri' }
  },
  required: ['reason', 'level', 'copies']
};

const DEFAULTS = {
  copies: 2,
  urgent: false,
  grade: 2,
  teams: ['law'],
  due_at: '2026-12-01T08:20:00Z'
};

let root: HTMLElement;
let form: FormState;
const onInput = vi.fn((state: FormState) => void (form = state));

async function draw(errors: FieldError[] = []): Promise<void> {
  // The server sends another copy of the schema with each change of a run.
  mount(root, askForm({ schema: structuredClone(SCHEMA), errors, onInput }));
  await Promise.resolve();
}

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
function field<T extends HTMLElement = HTMLInputElement>(name: string): T {
  return one<T>(root, `[name=${name}]`);
}

/** Return the text that names an input, or describes it. */
function labelOf(name: string): string {
  return field(name).labels?.item(0).textContent ?? '';
}

function describedBy(node: Element): string {
  const ids = node.getAttribute('aria-describedby')?.split(' ') ?? [];
  return ids.map(id => document.getElementById(id)?.textContent).join('|');
}

beforeEach(async () => {
  root = makeRoot();
  onInput.mockClear();
  await draw();
});

describe('the fields of a form', () => {
  it('have the types and bounds of their schemas', () => {
    const types = Object.keys(SCHEMA.properties).map(name => field(name).type);
    expect(types).toEqual([
      'text',
      'textarea',
      'number',
      'number',
      'checkbox',
      'select-one',
      'select-one',
      'checkbox',
      'checkbox',
      'date',
      'datetime-local',
      'email',
      'url'
    ]);
    expect([field('reason').minLength, field('reason').maxLength]).toEqual([2, 40]);
    expect([field('amount').min, field('amount').max, field('amount').step]).toEqual([
      '0',
      '9.5',
      'any'
    ]);
    expect([field('copies').min, field('copies').max, field('copies').step]).toEqual([
      '1',
      '9',
      '1'
    ]);
    expect(field('reason').required).toBe(true);
    expect(field('copies').required).toBe(false);
    expect(field('mail').required).toBe(false);
  });

  it('are labeled by their titles or names, and described', () => {
    expect(labelOf('amount')).toBe('Amount in € (optional)');
    expect(labelOf('reason')).toBe('Reason');
    expect(labelOf('urgent')).toBe('Urgent');
    expect(labelOf('due_at')).toBe('Due at (UTC)');
    expect(labelOf('teams')).toBe('ops');
    expect(one(root, 'fieldset legend').textContent).toBe('Teams');
    expect(describedBy(field('comment'))).toBe('What the team should know.');
    expect(inWords('dueDate')).toBe('Due date');
    expect(inWords('VAT_id')).toBe('VAT id');
    expect(inWords('__')).toBe('__');
  });

  it('show the defaults', () => {
    expect(field('copies').value).toBe('2');
    expect(field('due_at').value).toBe('2026-12-01T08:20');
    expect(form.answer).toEqual(DEFAULTS);
    expect(form.isEdited).toBe(false);
    expect(onInput).toHaveBeenCalledTimes(1);
  });
});

describe('an answer', () => {
  it('has what was entered, as JSON', () => {
    type(field('reason'), 'new');
    type(field<HTMLTextAreaElement>('comment'), 'two\nlines');
    type(field('amount'), '1.5');
    type(field('copies'), '3');
    field('urgent').click();
    choose(field<HTMLSelectElement>('level'), '1');
    choose(field<HTMLSelectElement>('grade'), '0');
    root.querySelectorAll<HTMLInputElement>('[name=teams]').forEach(box => box.click());
    field('tags').click();
    type(field('day'), '2026-12-24');
    type(field('due_at'), '2026-12-24T18:00');
    type(field('mail'), 'ada@example.org');
    type(field('page'), 'https://example.org/');
    expect(form.answer).toEqual({
      reason: 'new',
      comment: 'two\nlines',
      amount: 1.5,
      copies: 3,
      urgent: true,
      level: 'high',
      grade: 1,
      teams: ['ops', 3],
      tags: ['a'],
      day: '2026-12-24',
      due_at: '2026-12-24T18:00:00Z',
      mail: 'ada@example.org',
      page: 'https://example.org/'
    });
    expect(form.isEdited).toBe(true);
  });

  it('lacks empty inputs, but not a list whose default was deselected', () => {
    type(field('copies'), '');
    type(field('due_at'), '');
    root.querySelectorAll<HTMLInputElement>('[name=teams]')[1].click();
    expect(form.answer).toEqual({ urgent: false, grade: 2, teams: [] });
  });

  it('has whole numbers that JavaScript would round as text', () => {
    type(field('copies'), '12345678901234567890');
    expect(form.answer['copies']).toBe('12345678901234567890');
  });

  it('can’t have what the browser can’t read', () => {
    Object.defineProperty(field('amount'), 'validity', { value: { badInput: true } });
    type(field('amount'), '');
    expect(form.problems).toEqual([{ field: 'amount', message: 'Enter a number.' }]);
    expect(form.isEdited).toBe(true);
  });
});

it('keeps what was entered when the form is drawn again', async () => {
  type(field('reason'), 'half a sen');
  await draw();
  expect(field('reason').value).toBe('half a sen');
});

describe('errors', () => {
  const errors = [
    { field: 'level', message: 'This is required.' },
    { field: 'comment', message: 'Too short.' },
    { field: 'tags', message: 'Choose two.' }
  ];

  it('are shown at their fields, and the first has the focus', async () => {
    await draw(errors);
    expect(otherMessages(SCHEMA, errors)).toEqual([]);
    expect(document.activeElement).toBe(field('comment'));
    expect(field('comment').getAttribute('aria-invalid')).toBe('true');
    expect(describedBy(field('comment'))).toBe('What the team should know.|Too short.');
    expect(describedBy(field('level'))).toBe('This is required.');
    expect(describedBy(field('tags'))).toBe('Choose two.');
    expect(field('reason').getAttribute('aria-invalid')).toBe('false');
    expect(field('reason').hasAttribute('aria-describedby')).toBe(false);
  });

  it('go when the field changes, or with the next errors', async () => {
    await draw(errors);
    type(field<HTMLTextAreaElement>('comment'), 'Long enough.');
    await Promise.resolve();
    expect(field('comment').getAttribute('aria-invalid')).toBe('false');
    expect(field('level').getAttribute('aria-invalid')).toBe('true');
    await draw([]);
    expect(root.querySelector('[aria-invalid=true]')).toBeNull();
  });

  it('of no field are returned', () => {
    const others = [
      { field: '', message: 'Must be an object.' },
      { field: 'x', message: 'There is no such field.' }
    ];
    expect(otherMessages(SCHEMA, others)).toEqual([
      'Must be an object.',
      'x: There is no such field.'
    ]);
  });
});
