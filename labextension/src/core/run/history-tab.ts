import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { Component } from '../component';
import { pauseLabel } from '../formatting';
import { button, time } from '../parts';
import type { HistoryEntry } from '../types';

/** Number of entries that are shown at first. */
const SHOWN = 50;

const PAUSED = /^It pauses: (\w+), until (\S+) (\S+) UTC\.$/;

const WAYS: Record<string, string> = {
  link: 'by a link',
  jupyter: 'from JupyterLab',
  button: 'from JupyterLab',
  api: 'from the API',
  cli: 'from the command line',
  timer: 'by the timer'
};

/** Return what has happened, in words: `Step pay began, attempt 2`. */
export function historyText(entry: HistoryEntry): string {
  const { event, step, attempt } = entry;
  const again = attempt > 1 ? `, attempt ${attempt}` : '';
  switch (event) {
    case 'start':
      return withWho('Started', entry);
    case 'begin':
      return `Step ${step} began${again}`;
    case 'finish':
      return `Step ${step} ended${again}`;
    case 'resume':
      return withWho(`Step ${step} was resumed`, entry);
    case 'approve':
      return withWho(`Step ${step} was approved`, entry);
    case 'reject':
      return withWho(`Step ${step} was rejected`, entry);
    case 'cancel':
      return withWho('Canceled', entry);
    case 'expire':
      return `The time of step ${step} ran out`;
    case 'remind':
      return `Those whom step ${step} asks were reminded`;
    case 'escalate':
      return `Step ${step} now asks others`;
    case 'drop':
      return withWho(`A request for step ${step} does not count`, entry);
    case 'email':
      return `An email of step ${step}`;
    case 'requeue':
      return `Step ${step} was put back into the queue`;
    case 'lapse':
      return `The server that executed step ${step} was gone`;
    default:
      return `${event} (step ${step})`;
  }
}

/** Return the note of an entry, with the end of a pause as people write it. */
function noteText(note: string): unknown {
  const [, kind, day, clock] = PAUSED.exec(note) ?? [];
  const isKind = kind === 'suspend' || kind === 'rerun' || kind === 'delay' || kind === 'retry';
  return isKind ? html`It ${pauseLabel(kind)}, until ${time(`${day}T${clock}Z`)}.` : note;
}

function withWho(what: string, { by, via }: HistoryEntry): string {
  const way = via === null ? '' : (WAYS[via] ?? `by ${via}`);
  if (by === null) {
    return [what, way].filter(Boolean).join(' ');
  }
  return [`${what} by ${by}`, way].filter(Boolean).join(', ');
}

class HistoryTab extends Component<{ history: readonly HistoryEntry[] }> {
  private isAll = false;

  protected template(): unknown {
    const { history } = this.props;
    if (history.length === 0) {
      return html`<p class="jp-PDFlow-hint">No history was kept for this run.</p>`;
    }
    const newest = [...history].reverse();
    const hidden = this.isAll ? 0 : Math.max(0, newest.length - SHOWN);
    const shown = newest.slice(0, newest.length - hidden);
    return html`<ol class="jp-PDFlow-history" role="list">
        ${shown.map(entryRow)}
      </ol>
      ${
        hidden === 0
          ? nothing
          : button(`Show ${hidden} earlier`, () => this.showAll(), 'button small')
      }`;
  }

  private showAll(): void {
    this.isAll = true;
    this.requestUpdate();
  }
}

/** What has happened to a run, the newest first. */
export const historyTab = directive(HistoryTab);

function entryRow(entry: HistoryEntry): TemplateResult {
  return html`<li>
    ${time(entry.at, true)}<span
      >${historyText(entry)}${
        entry.note
          ? html`<span class="jp-PDFlow-history-note">${noteText(entry.note)}</span>`
          : nothing
      }</span
    >
  </li>`;
}
