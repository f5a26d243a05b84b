import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { time } from '../parts';
import type { ResolveLink } from './json-tree';
import { jsonTree } from './json-tree';

type Exports = Record<string, unknown>;

const RESULT = '$return_value';
const ANSWER = '$resume_data';
const DECISION = '$decision';
/** The order of the exports whose names the server gives; the others are between the first two. */
const PLACES: Record<string, number> = { [RESULT]: -1, [ANSWER]: 1, [DECISION]: 2 };
/** Maximum number of values of a returned object that is expanded at first. */
const MAX_EXPANDED = 10;

/** Return exports by name: short values as they are, lists of objects as tables, others as trees. */
export function exportsView(exports: Exports, resolveLink?: ResolveLink): unknown {
  const entries = Object.entries(exports);
  if (entries.length === 0) {
    return nothing;
  }
  const place = ([name]: [string, unknown]): number =>
    Object.hasOwn(PLACES, name) ? PLACES[name] : 0;
  entries.sort((one, other) => place(one) - place(other));
  const draw = ([name, value]: [string, unknown]): TemplateResult =>
    name === ANSWER && isRequest(value)
      ? answer(value, exports[DECISION], resolveLink)
      : jsonTree(value, name, resolveLink, isExpanded(name, value));
  return html`<div class="jp-PDFlow-values">${repeat(entries, ([name]) => name, draw)}</div>`;
}

/** Return whether an export is expanded at first; by default, only tables are. */
function isExpanded(name: string, value: unknown): boolean | undefined {
  const isObject = isRecord(value) && Object.keys(value).length <= MAX_EXPANDED;
  return (name === RESULT && isObject) || undefined;
}

/** Return the answer of a person, without what the request was made of. */
function answer(
  { body, ...request }: Exports,
  decision: unknown,
  resolveLink?: ResolveLink
): TemplateResult {
  return html`<div class="jp-PDFlow-answered">
    <div class="jp-PDFlow-json">
      <span class="jp-PDFlow-json-key">${ANSWER}</span>${who(decision)}
    </div>
    ${jsonTree(body, 'body', resolveLink)}
    <details class="jp-PDFlow-fold">
      <summary>Request</summary>
      ${Object.entries(request).map(([name, value]) => jsonTree(value, name, resolveLink))}
    </details>
  </div>`;
}

/** Return who has decided and when: `Ada, 10:20`. */
function who(decision: unknown): unknown {
  if (!isRecord(decision) || typeof decision.at !== 'string') {
    return nothing;
  }
  const people = Array.isArray(decision.by) ? decision.by.filter(isRecord) : [];
  const names = people.map(({ name }) => name).filter(name => typeof name === 'string');
  return html`<span class="jp-PDFlow-by"
    >${names.map(name => `${name}, `)}${time(decision.at)}</span
  >`;
}

function isRequest(value: unknown): value is Exports {
  return isRecord(value) && 'body' in value && 'method' in value;
}

function isRecord(value: unknown): value is Exports {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
