import type { TemplateResult } from 'lit';
import { html, svg } from 'lit';
import { formatCount } from '../formatting';
import { dateFormat } from '../times';
import type { DayCounts } from '../types';

const DAYS = 14;
const WIDTH = 5;
const GAP = 1;
const HEIGHT = 22;

interface Bar {
  label: string;
  total: number;
  failed: number;
}

/**
 * Return a chart of the runs that were started on each of the last 14 days.
 *
 * @param days - the days that have any
 * @param today - the last day
 */
export function dayChart(days: readonly DayCounts[], today = new Date()): TemplateResult {
  const bars = barsOf(days, today);
  const most = Math.max(1, ...bars.map(bar => bar.total));
  const width = DAYS * (WIDTH + GAP) - GAP;
  return html`<svg
    class="jp-PDFlow-days"
    role="img"
    aria-label=${summary(bars)}
    width=${width}
    height=${HEIGHT}
    viewBox="0 0 ${width} ${HEIGHT}"
  >
    ${bars.map((bar, at) => barNode(bar, at * (WIDTH + GAP), most))}
  </svg>`;
}

function barsOf(days: readonly DayCounts[], today: Date): Bar[] {
  const found = new Map(days.map(each => [each.day, each]));
  const format = dateFormat({ day: 'numeric', month: 'short' });
  return Array.from({ length: DAYS }, (_, at) => {
    const day = new Date(today.getFullYear(), today.getMonth(), today.getDate() - DAYS + 1 + at);
    const each = found.get(isoDay(day));
    const { failed = 0, succeeded = 0, canceled = 0, active = 0 } = each ?? {};
    return { label: format.format(day), failed, total: failed + succeeded + canceled + active };
  });
}

function isoDay(day: Date): string {
  const two = (part: number): string => String(part).padStart(2, '0');
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}

/** Return a bar, whose lower part stands for the runs that have failed, over a base line. */
function barNode({ label, total, failed }: Bar, x: number, most: number): TemplateResult {
  const height = (count: number): number =>
    count === 0 ? 0 : Math.max(2, Math.round((count / most) * (HEIGHT - 2)));
  const bottom = height(failed);
  const top = total > failed ? Math.max(height(total) - bottom, 2) : 0;
  const rect = (kind: string, y: number, size: number): TemplateResult =>
    svg`<rect class=${`jp-PDFlow-days-${kind}`} x=${x} y=${y} width=${WIDTH} height=${size}></rect>`;
  return svg`<g><title>${label}: ${barText(total, failed)}</title>
    ${rect('hover', 0, HEIGHT)}${rect('base', HEIGHT - 1, 1)}
    ${rect('other', HEIGHT - 1 - bottom - top, top)}
    ${rect('failed', HEIGHT - 1 - bottom, bottom)}</g>`;
}

function barText(total: number, failed: number): string {
  const failedText = failed > 0 ? `, ${failed.toLocaleString()} failed` : '';
  return formatCount(total, 'run') + failedText;
}

/** Return what the chart says as a sentence. */
function summary(bars: readonly Bar[]): string {
  const total = bars.reduce((sum, bar) => sum + bar.total, 0);
  const failed = bars.reduce((sum, bar) => sum + bar.failed, 0);
  const [most] = [...bars].sort((one, other) => other.total - one.total);
  const peak = total > 0 ? `; most on ${most.label}: ${most.total.toLocaleString()}` : '';
  return `Runs per day in ${DAYS} days: ${barText(total, failed)}${peak}`;
}
