import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { badgeLabel } from '../formatting';
import type { WorkflowCounts } from '../types';
import { countOf } from './choice';
import { dayChart } from './day-chart';

const COUNTED = ['waiting', 'active', 'failed', 'succeeded', 'canceled'] as const;

/** Return the head of a workflow: its name, the number of its runs, and those of each day. */
export function workflowHead(name: string, counts: WorkflowCounts | null): TemplateResult {
  const text = counts === null ? '' : countsText(counts);
  return html`<div class="jp-PDFlow-workflow-head">
    <h3 class="jp-PDFlow-workflow-name" title=${name}>${name}</h3>
    <p class="jp-PDFlow-workflow-counts" title=${text}>${text}</p>
    ${counts === null ? nothing : dayChart(counts.days)}
  </div>`;
}

function countsText(counts: WorkflowCounts): string {
  return COUNTED.map(status => [status, countOf(counts, status)] as const)
    .filter(([, count]) => count > 0)
    .map(([status, count]) => {
      const label = status === 'active' ? 'active' : badgeLabel(status).toLowerCase();
      return `${count.toLocaleString()}\u00a0${label}`;
    })
    .join(' · ');
}
