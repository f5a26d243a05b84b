import { el, uniqueId } from './dom';
import { currentStep, isWaiting } from './formatting';
import type { RunItem, RunStatus } from './types';

/** Which runs are listed. */
export interface Filter {
  /** `waiting` stands for the runs that wait for a person, and an empty string for all runs. */
  status: RunStatus | 'waiting' | '';
  /** A workflow's id, or an empty string for all workflows. */
  workflow: string;
  /** The text of the search field. */
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

/** Return whether a run has the workflow and status of a filter. The text is not considered. */
export function matchesFilter(run: RunItem, filter: Filter): boolean {
  const { status, workflow } = filter;
  if (workflow !== '' && run.workflow_id !== workflow) {
    return false;
  }
  return status === '' || (status === 'waiting' ? isWaiting(run) : run.status === status);
}

/** Return whether a run's title, workflow, id, step, error and reason contain a text's words. */
export function matchesSearch(run: RunItem, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    return true;
  }
  const { title, workflow_name, id, error, reason } = run;
  const fields = [title, workflow_name, id, currentStep(run), error?.message, reason];
  const haystack = fields.filter(Boolean).join('\n').toLowerCase();
  return words.every(word => haystack.includes(word));
}

/** The search field and the selects above the list. */
export class FilterBar {
  readonly node: HTMLElement;
  private readonly search: HTMLInputElement;
  private readonly status: HTMLSelectElement;
  private readonly workflow: HTMLSelectElement;
  private readonly workflows = new Map<string, string>();

  /**
   * @param fixedWorkflow - the id of the only workflow that is listed, or an empty string for all
   * @param status - the initial status
   * @param onChange - called with each new filter
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
      'aria-label': 'Search by title, workflow, run, step or error',
      autocomplete: 'off',
      spellcheck: 'false'
    });
    this.status = el('select', { 'aria-label': 'Status' });
    this.status.append(...STATUSES.map(([value, label]) => el('option', { value }, label)));
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

  /** The current filter. */
  get filter(): Filter {
    return {
      status: this.status.value as Filter['status'],
      workflow: this.fixedWorkflow || this.workflow.value,
      text: this.search.value
    };
  }

  /** Whether the filter excludes any run. */
  get isSet(): boolean {
    const { status, text } = this.filter;
    return status !== '' || text.trim() !== '' || this.workflow.value !== '';
  }

  /** Reset all fields. */
  clear(): void {
    this.search.value = '';
    this.status.value = '';
    this.workflow.value = '';
    this.search.focus();
    this.onChange(this.filter);
  }

  /** Add a workflow to the select if it is not there. */
  addWorkflow(id: string, name: string): void {
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
