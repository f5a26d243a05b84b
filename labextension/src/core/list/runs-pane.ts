import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { Component } from '../component';
import type { Filter } from '../filter';
import { readErrorMessage } from '../formatting';
import type { LiveRuns } from '../live-runs';
import { button, failure, loading, whileVisible } from '../parts';
import { queryOf } from '../run-cursor';
import type { RunList } from '../run-list';
import { bulkActions } from './bulk-actions';
import type { Choice } from './choice';
import { EVERYTHING, isSet, toFilter } from './choice';
import { CountsReader } from './counts-reader';
import { filterBar, searchField } from './filter-bar';
import { focusFirst, isFocusLost } from '../focus';
import { howToBegin, listTools, summary } from './list-tools';
import type { Group } from './row-list';
import { CURRENT_ROW, rowList } from './row-list';
import type { Grouping } from './run-groups';
import { groupsByState, groupsByWorkflow } from './run-groups';
import { Selection } from './selection';
import { statusChips } from './status-chips';
import { workflowHead } from './workflow-head';

const PAGE_SIZE = 50;

/** The properties of {@link runsPane}. */
export interface RunsPaneProps {
  runs: LiveRuns;
  /** The id of the only workflow whose runs are listed. */
  workflow?: string;
  /** The status of the filter at first. Another one, later, replaces what was chosen. */
  status?: Filter['status'];
  /** Number of runs to read at once. */
  pageSize?: number;
  /** What is shown at the end of the list, such as the workers. Widgets go without them. */
  footer?: unknown;
  /** How runs are grouped at first. */
  grouping?: Grouping;
  /** Called when a person has chosen how runs are grouped. */
  onGrouping?: (grouping: Grouping) => void;
  /** The id of the run that was opened last. */
  opened: string | null;
  onOpen: (id: string) => void;
}

class RunsPane extends Component<RunsPaneProps> {
  private readonly container = createRef<HTMLElement>();
  private readonly selection = new Selection();
  private list!: RunList;
  private counts!: CountsReader;
  private choice: Choice | null = null;
  private grouping: Grouping = 'state';
  private groups: readonly Group[] = [];

  protected override start(): void {
    const { runs, workflow = '', status = '', grouping = 'state' } = this.props;
    if (this.choice === null) {
      this.choice = { ...EVERYTHING, status };
      this.grouping = grouping;
    }
    this.follow();
    this.counts = new CountsReader(runs.host, workflow === '' ? {} : { workflow }, () =>
      this.requestUpdate()
    );
    this.counts.setQuery(queryOf(this.filter));
  }

  protected override stop(): void {
    this.list.dispose();
    this.counts.dispose();
  }

  protected override propsChanged({ pageSize, status }: RunsPaneProps): void {
    if (this.props.pageSize !== pageSize) {
      this.list.dispose();
      this.follow();
    }
    if (this.props.status !== undefined && this.props.status !== status) {
      this.choose({ ...EVERYTHING, status: this.props.status });
    }
  }

  protected template(): TemplateResult {
    const { list, selection } = this;
    this.updateGroups();
    selection.show(this.groups.flatMap(group => group.runs));
    const isStale = list.state === 'failed' && list.size > 0;
    return html`<div class="jp-PDFlow-pane" ${ref(this.container)} ${whileVisible(this.tick)}>
      ${this.isUnused ? nothing : this.head()}
      <div class="jp-PDFlow-notices">${isStale ? nothing : this.notice()}</div>
      <div class="jp-PDFlow-shown" aria-busy=${list.state === 'loading' ? 'true' : 'false'}>
        ${this.rows()}
      </div>
      ${this.dock(isStale)}
    </div>`;
  }

  private get chosen(): Choice {
    return this.choice ?? EVERYTHING;
  }

  private get filter(): Filter {
    const filter = toFilter(this.chosen);
    return { ...filter, workflow: this.props.workflow ?? filter.workflow };
  }

  /** Whether the server has no runs, so that there is nothing to look for. */
  private get isUnused(): boolean {
    return this.list.state === 'ready' && this.list.size === 0 && !isSet(this.chosen);
  }

  private follow(): void {
    const { runs, pageSize = PAGE_SIZE } = this.props;
    this.list = runs.list(this.filter, pageSize, this.requestUpdate);
  }

  private updateGroups(): void {
    const { list, counts } = this;
    if (list.state === 'loading' && list.items.length === 0) {
      // The rows stay until others were read, so that the page does not jump.
      return;
    }
    const onWorkflow = (workflow: string): void => this.choose({ workflow });
    const source = { list, counts: counts.matching, onWorkflow };
    this.groups = this.grouping === 'state' ? groupsByState(source) : groupsByWorkflow(source);
  }

  private head(): TemplateResult {
    const { counts, selection, props } = this;
    const { total, matching } = counts;
    const isFixed = props.workflow !== undefined;
    const workflows = isFixed ? null : this.workflows();
    const fields = { choice: this.chosen, workflows, onChange: this.choose };
    const hasWaiting = this.list.groups.waiting.length > 0;
    return html`${searchField(fields)} ${filterBar(fields)}
    ${statusChips(matching, this.chosen.status, status => this.choose({ status }))}
    ${listTools({
      selection,
      grouping: isFixed ? null : this.grouping,
      onSelectAll: this.selectAll,
      onGrouping: this.group
    })}
    ${summary(total, matching, hasWaiting)} ${this.onlyWorkflow()}`;
  }

  /** Return the head of the only listed workflow, unless it is the head of its group. */
  private onlyWorkflow(): unknown {
    const { workflow } = this.list.filter;
    if (workflow === '' || this.grouping === 'workflow') {
      return nothing;
    }
    const counted = this.counts.matching?.workflows.find(each => each.id === workflow);
    return workflowHead(this.workflows().get(workflow) ?? workflow, counted ?? null);
  }

  /** Return the names of the workflows by id. */
  private workflows(): Map<string, string> {
    const { total } = this.counts;
    return new Map([
      ...this.list.items.map((run): [string, string] => [run.workflow_id, run.workflow_name]),
      ...(total?.workflows ?? []).map(({ id, name }): [string, string] => [id, name])
    ]);
  }

  private notice(): unknown {
    const { list, groups } = this;
    const isEmpty = groups.every(group => group.runs.length === 0 && group.foot === nothing);
    if (list.state === 'failed') {
      return failure(readErrorMessage(list.error), this.retry);
    }
    if (!isEmpty) {
      return nothing;
    }
    if (list.state === 'loading') {
      return loading();
    }
    return isSet(this.chosen)
      ? html`<div class="jp-PDFlow-empty">
          <p>No runs match.</p>
          ${button('Show all', this.showAll)}
        </div>`
      : howToBegin();
  }

  private rows(): unknown {
    return rowList({
      groups: this.groups,
      selection: this.selection,
      opened: this.props.opened,
      hasWorkflow: this.grouping === 'state' && this.list.filter.workflow === '',
      onOpen: this.props.onOpen,
      onSelect: this.requestUpdate
    });
  }

  /** Return what lies over the end of the list, so that it moves no rows. */
  private dock(isStale: boolean): TemplateResult {
    const { runs, footer = nothing } = this.props;
    const { error } = this.list;
    const stale = `${readErrorMessage(error)} The runs shown may be out of date.`;
    return html`<div class="jp-PDFlow-dock">
      ${bulkActions({
        host: runs.host,
        selected: this.selection.runs,
        onRun: run => runs.put(run),
        onClear: this.clearSelection
      })}
      ${isStale ? failure(stale, this.retry) : nothing} ${footer}
    </div>`;
  }

  private readonly choose = (change: Partial<Choice>): void => {
    this.choice = { ...this.chosen, ...change };
    this.applyChoice();
    this.requestUpdate();
  };

  private applyChoice(): void {
    const { filter } = this;
    this.list.setFilter(filter);
    this.counts.setQuery(queryOf(filter));
  }

  private readonly tick = (): void => {
    if (this.list.filter.since !== this.filter.since) {
      // Today is another day.
      this.applyChoice();
    }
    this.counts.tick();
  };

  private readonly retry = (): void => {
    void this.list.reload();
    this.counts.refresh();
  };

  private readonly showAll = (): void => {
    this.choose(EVERYTHING);
    this.focus('input[type="search"]');
  };

  private readonly group = (grouping: Grouping): void => {
    this.grouping = grouping;
    this.props.onGrouping?.(grouping);
    this.requestUpdate();
  };

  private readonly selectAll = (): void => {
    const { selection } = this;
    if (selection.runs.length < selection.selectable.length) {
      selection.selectAll();
    } else {
      selection.clear();
    }
    this.requestUpdate();
  };

  private readonly clearSelection = (): void => {
    this.selection.clear();
    this.requestUpdate();
    queueMicrotask(() => {
      if (this.container.value && isFocusLost(this.container.value)) {
        this.focus(CURRENT_ROW, '.jp-PDFlow-list');
      }
    });
  };

  private focus(...selectors: string[]): void {
    if (this.container.value) {
      focusFirst(this.container.value, ...selectors);
    }
  }
}

/** The filters and the list of runs, with those that wait for a person first. */
export const runsPane = directive(RunsPane);
