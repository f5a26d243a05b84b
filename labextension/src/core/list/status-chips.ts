import type { TemplateResult } from 'lit';
import { html } from 'lit';
import type { Filter } from '../filter';
import { badgeLabel } from '../formatting';
import type { StatusCounts } from '../types';
import { countOf } from './choice';

type Status = Exclude<Filter['status'], ''>;

const SHOWN: readonly Status[] = ['waiting', 'active', 'failed', 'succeeded', 'canceled'];

/**
 * Return a button for each status, with the number of its runs. The pressed one is the filter.
 *
 * @param counts - the number of runs, or null until they were counted
 * @param chosen - the status of the filter
 * @param onChoose - called with another status
 */
export function statusChips(
  counts: StatusCounts | null,
  chosen: Filter['status'],
  onChoose: (status: Filter['status']) => void
): TemplateResult {
  const isOther = chosen !== '' && !SHOWN.includes(chosen);
  const chips = isOther ? [...SHOWN, chosen] : SHOWN;
  return html`<div class="jp-PDFlow-chips" role="group" aria-label="Status">
    ${chips.map(status => {
      const count = counts === null ? '' : countOf(counts, status).toLocaleString();
      const isChosen = status === chosen;
      return html`<button
        type="button"
        class="jp-PDFlow-chip"
        data-status=${status}
        aria-pressed=${isChosen ? 'true' : 'false'}
        ?data-empty=${count === '0'}
        @click=${() => onChoose(isChosen ? '' : status)}
      >
        ${status === 'active' ? 'Active' : badgeLabel(status)}
        <span class="jp-PDFlow-chip-count">${count}</span>
      </button>`;
    })}
  </div>`;
}
