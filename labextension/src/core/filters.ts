import { el, uniqueId } from './dom';
import type { RunItem, RunStatus } from './types';
import { currentStep, isWaiting } from './formatting';

/** Which runs are shown: `waiting` are those that wait for a person. */
export interface Filter {
  status: RunStatus | 'waiting' | '';
  /** A workflow's id. */
  workflow: string;
  /** What is searched for. */
  text: string;
}

const STATUSES: [Filter['status'], string][] = [
  ['', 'All'],
  ['waiting', 'Waiting for a person'],
  ['paused', 'Paused (all)'],
  ['running', 'Running'],
  ['queued', 'Queued'],
  ['succeeded', 'Succeeded'],
  ['failed', 'Failed'],
  ['canceled', 'Canceled']
];

/** Whether a run is one of those that the lists of a filter have; the text plays no part. */
export function matchesFilter(run: RunItem, filter: Filter): boolean {
  const { status, workflow } = filter;
  if (workflow !== '' && run.workflow_id !== workflow) {
    return false;
  }
  return status === '' || (status === 'waiting' ? isWaiting(run) : run.status === status);
}

/** Whether a run has all words of a text: in its workflow, id, step, error or reason. */
export function matchesSearch(run: RunItem, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    return true;
  }
  const { workflow_name, id, error, reason } = run;
  const fields = [workflow_name, id, currentStep(run), error?.message, reason];
  const haystack = fields.filter(Boolean).join('\n').toLowerCase();
  return words.every(word => haystack.includes(word));
}

/** The fields above the list. */
export class FilterBar {
  readonly node: HTMLElement;
  private readonly search: HTMLInputElement;
  private readonly status: HTMLSelectElement;
  private readonly workflow: HTMLSelectElement;
  private readonly workflows = new Map<string, string>();

  /**
   * @param fixedWorkflow - the only workflow that is shown; '' for all
   * @param status - the status that is chosen at first
   * @param onChange - told of a new filter
   */
  constructor(
    private readonly fixedWorkflow: string,
    status: Filter['status'],
    private readonly onChange: (filter: Filter) => void
  ) {
    this.search = el('input', {
      type: 'search',
      id: uniqueId(),
      placeholder: 'Search runs',
      'aria-label': 'Search by workflow, run, step or error',
      autocomplete: 'off',
      spellcheck: 'false'
    });
    this.status = el('select', { 'aria-label': 'Status' });
    this.status.append(...STATUSES.map(([value, words]) => el('option', { value }, words)));
    this.status.value = status;
    this.workflow = el('select', { 'aria-label': 'Workflow', hidden: fixedWorkflow !== '' });
    this.workflow.append(el('option', { value: '' }, 'All workflows'));
    this.node = el(
      'div',
      { class: 'filters', role: 'search' },
      this.search,
      this.status,
      this.workflow
    );
    const notify = (): void => this.onChange(this.filter);
    this.search.addEventListener('input', notify);
    this.status.addEventListener('change', notify);
    this.workflow.addEventListener('change', notify);
  }

  /** What is asked for. */
  get filter(): Filter {
    return {
      status: this.status.value as Filter['status'],
      workflow: this.fixedWorkflow || this.workflow.value,
      text: this.search.value
    };
  }

  /** Whether anything is left out. */
  get isSet(): boolean {
    const { status, text } = this.filter;
    return status !== '' || text.trim() !== '' || this.workflow.value !== '';
  }

  /** Leave nothing out. */
  clear(): void {
    this.search.value = '';
    this.status.value = '';
    this.workflow.value = '';
    this.search.focus();
    this.onChange(this.filter);
  }

  /** Offer a workflow that was met. */
  offer(id: string, name: string): void {
    if (this.workflows.has(id)) {
      return;
    }
    this.workflows.set(id, name);
    const isAmbiguous = [...this.workflows.values()].filter(other => other === name).length > 1;
    const option = el('option', { value: id }, isAmbiguous ? `${name} (${id})` : name);
    const later = [...this.workflow.options].find(
      other => other.value !== '' && other.text.localeCompare(option.text) > 0
    );
    this.workflow.insertBefore(option, later ?? null);
  }
}
