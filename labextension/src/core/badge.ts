import type { TemplateResult } from 'lit';
import { html, svg } from 'lit';
import type { BadgeStatus } from './formatting';
import { badgeLabel } from './formatting';

/** The shape of each status, in a box of 16 by 16, so that no status is told by color alone. */
const SHAPES: Record<BadgeStatus, string> = {
  // an octagon with two bars
  waiting: 'M5 1h6l4 4v6l-4 4H5l-4-4V5zM5.5 4.5v7h1.8v-7zM8.7 4.5v7h1.8v-7z',
  // a clock
  paused: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zM7.2 4h1.6v3.6l2.6 1.6-.8 1.3L7.2 8.5z',
  // a triangle
  running: 'M3 1.5v13l11-6.5z',
  // a ring
  queued: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM8 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8z',
  // a tick
  succeeded: 'M1.5 8.5l2-2L6.5 9.5l6-6.5 2 2-8 8.5z',
  // a cross
  failed: 'M3.4 1.4L8 6l4.6-4.6 2 2L10 8l4.6 4.6-2 2L8 10l-4.6 4.6-2-2L6 8 1.4 3.4z',
  // a square
  canceled: 'M2.5 2.5h11v11h-11z',
  // a small ring
  pending: 'M8 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM8 5.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4z',
  // a bar
  skipped: 'M2 6.8h12v2.4H2z'
};

/** Return a badge: a shape, a label and a color. */
export function badge(status: BadgeStatus): TemplateResult {
  return html`<span class="jp-PDFlow-badge" data-status=${status}
    >${shape(status)}<span>${badgeLabel(status)}</span></span
  >`;
}

/** Return the shape of a status. It needs a label, because screen readers ignore it. */
export function shape(status: BadgeStatus): TemplateResult {
  const path = svg`<path fill-rule="evenodd" d=${SHAPES[status]}></path>`;
  return html`<svg class="jp-PDFlow-shape" viewBox="0 0 16 16" aria-hidden="true">${path}</svg>`;
}
