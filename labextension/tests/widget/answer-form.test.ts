import { expect, it } from 'vitest';
import widget from '../../src/widget';
import { one, type } from '../core/helpers';
import { FakeModel } from './fake-model';

it('sends each change to the kernel, and shows the errors that the kernel sends', async () => {
  const traits: Record<string, unknown> = {
    view: { kind: 'form', probe: '' },
    form: {
      type: 'object',
      properties: { amount: { type: 'integer' }, urgent: { type: 'boolean', default: true } },
      required: ['amount']
    }
  };
  const model = new FakeModel(() => null, traits);
  const el = document.body.appendChild(document.createElement('div'));
  const dispose = await widget.render({ model, el });
  const field = one<HTMLInputElement>(el, '[name=amount]');
  type(field, '7');
  const answers = model.sent.map(({ method, args }) => [method, ...args]);
  expect(answers).toEqual([
    ['answer', { urgent: true }, []],
    ['answer', { amount: 7, urgent: true }, []]
  ]);

  model.receive({ id: 'errors', errors: [{ field: 'amount', message: 'At most 5.' }] });
  expect(field.getAttribute('aria-invalid')).toBe('true');
  expect(document.activeElement).toBe(field);
  dispose();
  expect(el.textContent).toBe('');
  expect(model.listeners.size).toBe(0);
});
