import { expect, it } from 'vitest';

import { mount } from '../../../src/core/component';
import { exportsView } from '../../../src/core/values/exports-view';
import { makeRoot, one, shownText } from '../helpers';

const REQUEST = {
  method: 'POST',
  path: '/pdflow/resume',
  query: {},
  headers: { 'user-agent': 'x'.repeat(80) },
  body: { approved: true }
};
const DECISION = {
  step: 'ask',
  outcome: 'approved',
  at: '2026-11-22T11:20:00.000Z',
  by: [{ name: 'Ada', via: 'jupyter', verified: true, at: '2026-11-22T11:20:00.000Z', note: null }]
};

function show(exports: Record<string, unknown>): HTMLElement {
  const root = makeRoot();
  mount(root, exportsView(exports));
  return root;
}

it('shows the return value first, expanded, and the answer and the decision last', () => {
  const result = { total: 12, lines: ['x'.repeat(70)] };
  const root = show({ $decision: DECISION, $resume_data: REQUEST, n: 1, $return_value: result });
  const names = [...root.querySelectorAll('.jp-PDFlow-json-key')].map(node => node.textContent);
  expect(names.slice(0, 4)).toEqual(['$return_value', 'total', 'lines', 'n']);
  expect(names.at(4)).toBe('$resume_data');
  expect(names.at(-1)).toBe('$decision');
  expect(one<HTMLDetailsElement>(root, 'details').open).toBe(true);
});

it('shows the body of an answer and who has decided, and folds the request', () => {
  const root = show({ $resume_data: REQUEST, $decision: DECISION });
  expect(shownText(root)).toMatch(/^\$resume_data Ada, .* body : { approved: true }/);
  const request = one<HTMLDetailsElement>(root, '.jp-PDFlow-fold');
  expect(request.open).toBe(false);
  expect(shownText(request)).toMatch(/^Request method : "POST"/);
});

it.each([null, 'text', [1], {}])('shows a decision of an unknown shape: %j', decision => {
  const root = show({ $resume_data: REQUEST, $decision: decision });
  expect(shownText(root)).toContain('approved: true');
});

it('shows an answer that is not a request, as after a timeout', () => {
  expect(shownText(show({ $resume_data: null }))).toMatch(/^\$resume_data : null/);
});

it('is empty without exports', () => {
  expect(shownText(show({}))).toBe('');
});
