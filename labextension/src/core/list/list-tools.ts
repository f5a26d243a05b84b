/** What is between the filters and the rows, and in place of rows. */
import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { live } from 'lit/directives/live.js';
import type { RunCounts } from '../types';
import { countOf } from './choice';
import type { Grouping } from './run-groups';
import type { Selection } from './selection';

const GROUPINGS: [Grouping, string][] = [
  ['state', 'By state'],
  ['workflow', 'By workflow']
];

/** The properties of {@link listTools}. */
export interface ListToolsProps {
  selection: Selection;
  /** How runs are grouped, or null if there is no choice. */
  grouping: Grouping | null;
  onSelectAll: () => void;
  onGrouping: (grouping: Grouping) => void;
}

/** Return the box that selects all shown runs, and the choice of the grouping. */
export function listTools(props: ListToolsProps): TemplateResult {
  const { grouping, onGrouping } = props;
  const choices = GROUPINGS.map(([value, label]) => {
    const isChosen = value === grouping ? 'true' : 'false';
    return html`<button type="button" aria-pressed=${isChosen} @click=${() => onGrouping(value)}>
      ${label}
    </button>`;
  });
  return html`<div class="jp-PDFlow-list-tools">
    ${selectAll(props)}
    ${
      grouping === null
        ? nothing
        : html`<div class="jp-PDFlow-switch" role="group" aria-label="Groups">${choices}</div>`
    }
  </div>`;
}

function selectAll({ selection, onSelectAll }: ListToolsProps): TemplateResult {
  const [count, all] = [selection.runs.length, selection.selectable.length];
  return html`<label
    class="jp-PDFlow-select-all"
    title="Select all shown runs that have not ended (Ctrl+A in the list)"
    ><input
      type="checkbox"
      aria-label="Select all"
      ?disabled=${all === 0}
      .checked=${live(all > 0 && count === all)}
      .indeterminate=${live(count > 0 && count < all)}
      @change=${onSelectAll}
    />All</label
  >`;
}

/**
 * Return how many runs wait and are active. Only that nothing waits at all is shown; the rest is for
 * screen readers, because the chips show it.
 *
 * @param total - the number of all runs, or null until they were counted
 * @param matching - the number of runs that match the filter
 * @param hasWaiting - whether the list already has a run that waits
 */
export function summary(
  total: RunCounts | null,
  matching: RunCounts | null,
  hasWaiting: boolean
): TemplateResult {
  const isIdle = total?.waiting === 0 && !hasWaiting && countOf(total, '') > 0;
  const parts = [
    matching && matching.waiting > 0 && `${matching.waiting} waiting for a person`,
    matching && countOf(matching, 'active') > 0 && `${countOf(matching, 'active')} active`
  ];
  const text = isIdle ? 'Nothing is waiting for a person.' : parts.filter(Boolean).join(' · ');
  const classes = `jp-PDFlow-summary ${isIdle ? '' : 'jp-PDFlow-unseen'}`;
  return html`<p class=${classes} role="status">${text}</p>`;
}

/** Return how to begin, for a server that has no runs. */
export function howToBegin(): TemplateResult {
  return html`<div class="jp-PDFlow-empty">
    <h3>No runs yet</h3>
    <p>
      Press <b>Workflow notebook</b> in the Launcher, or run
      <code>%load_ext jupyter_pdflow</code> in a notebook and begin a cell with <code>%%step</code>.
    </p>
    <p>Then press <b>Production</b> and <b>Run workflow…</b> above the notebook.</p>
  </div>`;
}
