import { expect, it, vi } from 'vitest';
import * as views from '../../src/views';
import { one, type } from '../core/helpers';
import { FakeModel } from './fake-model';

const ERRORS = { id: 'errors', errors: [{ field: 'amount', message: 'At most 5.' }] };

function makeForm(): FakeModel {
  const traits: Record<string, unknown> = {
    view: { kind: 'form' },
    form: {
      type: 'object',
      properties: { amount: { type: 'integer' }, urgent: { type: 'boolean', default: true } },
      required: ['amount']
    }
  };
  return new FakeModel(() => null, traits);
}

it('sends each change to the kernel, and shows the errors that the kernel sends', async () => {
  const model = makeForm();
  const el = document.body.appendChild(document.createElement('div'));
  const dispose = views.render({ model, el, server: null, missed: [] });
  await vi.waitFor(() => expect(model.sent).toHaveLength(1));
  const field = one<HTMLInputElement>(el, '[name=amount]');
  type(field, '7');
  const answers = model.sent.map(({ method, args }) => [method, ...args]);
  expect(answers).toEqual([
    ['answer', { urgent: true }, []],
    ['answer', { amount: 7, urgent: true }, []]
  ]);

  model.receive(ERRORS);
  model.receive({ id: 'views-1', result: {} });
  expect(field.getAttribute('aria-invalid')).toBe('true');
  expect(document.activeElement).toBe(field);
  dispose();
  expect(el.textContent).toBe('');
  expect(model.listeners.size).toBe(0);
});

it('shows the errors that have arrived before', () => {
  const el = document.body.appendChild(document.createElement('div'));
  const missed = [{ id: 'views-1', result: {} }, ERRORS];
  const dispose = views.render({ model: makeForm(), el, server: null, missed });
  expect(one(el, '[name=amount]').getAttribute('aria-invalid')).toBe('true');
  expect(el.textContent).toContain('At most 5.');
  dispose();
});
