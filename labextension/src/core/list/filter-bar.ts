import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { live } from 'lit/directives/live.js';
import type { Choice, Period } from './choice';

const PERIODS: [Period, string][] = [
  ['', 'Any time'],
  ['today', 'Today'],
  ['week', 'Last 7 days'],
  ['month', 'Last 30 days'],
  ['day', 'One day…']
];

/** The properties of {@link filterBar}. */
export interface FilterBarProps {
  choice: Choice;
  /** The names of the workflows by id, or null if the list has only one. */
  workflows: ReadonlyMap<string, string> | null;
  onChange: (change: Partial<Choice>) => void;
}

type Handler = (event: { currentTarget: EventTarget | null }) => void;

/** Return the search field. */
export function searchField({ choice, onChange }: FilterBarProps): TemplateResult {
  return html`<div class="jp-PDFlow-search" role="search">
    <input
      type="search"
      placeholder="Search runs and events"
      aria-label="Search titles, workflows, events, steps and errors"
      autocomplete="off"
      spellcheck="false"
      .value=${live(choice.text)}
      @input=${setter('text', onChange)}
    />
  </div>`;
}

/** Return the fields for workflows and days. */
export function filterBar({ choice, workflows, onChange }: FilterBarProps): TemplateResult {
  return html`<div class="jp-PDFlow-filters">
    ${workflows === null ? nothing : workflowField(workflows, choice, setter('workflow', onChange))}
    <select aria-label="Started" @change=${setter('period', onChange)}>
      ${PERIODS.map(([value, label]) => option(value, label, choice.period))}
    </select>
    ${choice.period === 'day' ? dayField(choice, setter('day', onChange)) : nothing}
  </div>`;
}

/** Return a handler of events that sets a part of the choice to a field's value. */
function setter(name: keyof Choice, onChange: FilterBarProps['onChange']): Handler {
  return ({ currentTarget }) => onChange({ [name]: (currentTarget as HTMLInputElement).value });
}

function workflowField(
  workflows: ReadonlyMap<string, string>,
  { workflow }: Choice,
  onChange: Handler
): TemplateResult {
  const names = [...workflows.values()];
  const label = (id: string, name: string): string =>
    names.filter(other => other === name).length > 1 ? `${name} (${id})` : name;
  const options = [...workflows]
    .map(([id, name]): [string, string] => [id, label(id, name)])
    .sort(([, one], [, other]) => one.localeCompare(other));
  return html`<select aria-label="Workflow" @change=${onChange}>
    ${option('', 'All workflows', workflow)}
    ${options.map(([id, name]) => option(id, name, workflow))}
  </select>`;
}

function dayField({ day }: Choice, onChange: Handler): TemplateResult {
  return html`<input type="date" aria-label="Day" .value=${live(day)} @change=${onChange} />`;
}

function option(value: string, label: string, chosen: string): TemplateResult {
  return html`<option value=${value} .selected=${live(value === chosen)}>${label}</option>`;
}
