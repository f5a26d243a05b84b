import { BulkActions } from './bulk-actions';
import { button, el, hasVisibleFocus, setText, setVisible } from './dom';
import type { Filter } from './filters';
import { FilterBar } from './filters';
import { formatCount, readErrorMessage } from './formatting';
import type { Host } from './host';
import { RunList } from './run-list';
import { RunView } from './run-view';
import type { Listing } from './runs-model';
import { RunsModel } from './runs-model';
import type { RunItem } from './types';
import { failureNode, loadingNode } from './view-parts';
import { WorkersView } from './workers-view';

/** Options of a {@link RunsView}. */
export interface RunsViewOptions {
  /** The id of the only workflow whose runs are listed. */
  workflow?: string;
  /** The initial status of the filter. */
  status?: Filter['status'];
  /** Number of runs to read at once. */
  pageSize?: number;
  /** Whether to show the workers, and the runs that wait for them. */
  workers?: boolean;
}

const PAGE_SIZE = 50;

const HOW_TO_START =
  'No runs yet. Open a notebook with %%step cells. Then use the buttons Production and Run ' +
  'workflow… of its toolbar, or run %pdflow production and %pdflow run in a cell.';

/** The list of runs, with those that wait for a person first. An opened run replaces the list. */
export class RunsView {
  private readonly filters: FilterBar;
  private readonly model: RunsModel;
  private readonly list: RunList;
  private readonly bulk: BulkActions;
  private readonly summary = el('p', { class: 'summary', role: 'status' });
  private readonly workers: WorkersView | null;
  private readonly notices = el('div', { class: 'notices' });
  private readonly pane: HTMLElement;
  private readonly detail = el('div', { class: 'detail', hidden: true });
  private opened: { id: string; view: RunView } | null = null;
  private drawing = false;
  private shownNotice = '';
  private disposed = false;

  /**
   * @param root - the element that contains the view
   * @param host - reads and changes runs
   * @param options - which runs to list
   */
  constructor(
    root: HTMLElement,
    private readonly host: Host,
    options: RunsViewOptions = {}
  ) {
    root.classList.add('jp-PDFlow');
    this.filters = new FilterBar(options.workflow ?? '', options.status ?? '', filter =>
      this.filter(filter)
    );
    this.list = new RunList({
      onOpen: id => this.open(id),
      onSelect: () => this.updateBulk(),
      onMore: group => void this.model.loadMore(group)
    });
    this.model = new RunsModel(
      host,
      this.filters.filter,
      options.pageSize ?? PAGE_SIZE,
      () => this.requestDraw(),
      (id, name) => this.filters.addWorkflow(id, name)
    );
    this.bulk = new BulkActions(
      host,
      run => this.model.update(run),
      () => this.clearSelection()
    );
    this.workers = options.workers ? new WorkersView(host) : null;
    this.pane = el(
      'div',
      { class: 'runs' },
      this.filters.node,
      this.summary,
      this.workers?.node,
      this.bulk.node,
      this.notices,
      this.list.node
    );
    root.append(this.pane, this.detail);
    this.detail.addEventListener('keydown', event => this.onKeydown(event));
    this.draw();
    void this.model.reload();
  }

  /** Open a run instead of the list. */
  open(id: string): void {
    this.close(false);
    const container = el('div', {});
    const back = button('All runs', () => this.close(true), { class: 'link back' });
    this.detail.replaceChildren(back, container);
    setVisible(this.pane, false);
    setVisible(this.detail, true);
    this.opened = { id, view: new RunView(container, this.host, id) };
    back.focus();
  }

  /** Remove the view. */
  dispose(): void {
    this.disposed = true;
    this.model.dispose();
    this.opened?.view.dispose();
    this.list.dispose();
    this.workers?.dispose();
    this.pane.remove();
    this.detail.remove();
  }

  private close(focus: boolean): void {
    if (this.opened === null) {
      return;
    }
    const { id, view } = this.opened;
    this.opened = null;
    view.dispose();
    this.detail.replaceChildren();
    setVisible(this.detail, false);
    setVisible(this.pane, true);
    this.draw();
    if (focus) {
      this.list.focus(id);
    }
  }

  private onKeydown(event: KeyboardEvent): void {
    const { target } = event;
    const typing = target instanceof Element && target.matches('input, textarea, select');
    if (event.key === 'Escape' && !typing) {
      event.stopPropagation();
      this.close(true);
    }
  }

  private filter(filter: Filter): void {
    void this.model.setFilter(filter);
  }

  /** Draw in a microtask, once for all changes until then. */
  private requestDraw(): void {
    if (!this.drawing) {
      this.drawing = true;
      queueMicrotask(() => {
        this.drawing = false;
        if (!this.disposed && this.opened === null) {
          this.draw();
        }
      });
    }
  }

  private draw(): void {
    const listing = this.model.listing();
    const searching = this.model.filter.text.trim() !== '';
    this.list.update(listing, searching);
    this.updateBulk();
    this.updateSummary(listing, searching);
    this.updateNotice(listing);
  }

  private clearSelection(): void {
    this.list.clearSelection();
    if (!hasVisibleFocus(this.pane)) {
      this.list.node.focus({ preventScroll: true });
    }
  }

  private updateBulk(): void {
    const runs = [...this.list.selected].map(id => this.model.get(id));
    this.bulk.update(runs.filter((run): run is RunItem => run !== undefined));
  }

  private updateSummary({ groups, more, loaded, state }: Listing, searching: boolean): void {
    const plus = more.active ? '+' : '';
    const { waiting, active } = groups;
    const parts = [
      waiting.length > 0 && `${waiting.length}${plus} waiting for a person`,
      active.length > 0 && `${active.length}${plus} active`,
      searching &&
        (more.active || more.ended) &&
        `searched the newest ${formatCount(loaded, 'run')}`
    ];
    const message = parts.filter(Boolean).join(' · ');
    const idleText = state === 'ready' && loaded > 0 ? 'Nothing is waiting for a person.' : '';
    setText(this.summary, message || (searching ? '' : idleText));
  }

  private updateNotice(listing: Listing): void {
    const { state, groups, loaded, error } = listing;
    const empty = [groups.waiting, groups.active, groups.ended].every(runs => runs.length === 0);
    if (state === 'failed') {
      const staleHint = loaded > 0 ? ' The runs shown may be out of date.' : '';
      this.showNotice(readErrorMessage(error) + staleHint, message =>
        failureNode(message, () => void this.model.reload())
      );
    } else if (!empty) {
      this.showNotice('', () => el('p', {}));
    } else if (state === 'loading') {
      this.showNotice('Loading…', message => loadingNode(message));
    } else if (this.filters.isSet) {
      this.showNotice('No runs match.', message =>
        el(
          'div',
          { class: 'empty' },
          el('p', {}, message),
          button('Show all', () => this.filters.clear())
        )
      );
    } else {
      this.showNotice(HOW_TO_START, message => el('p', { class: 'empty' }, message));
    }
  }

  /** Show a notice if it differs from the current one. */
  private showNotice(message: string, make: (message: string) => HTMLElement): void {
    if (message !== this.shownNotice) {
      this.shownNotice = message;
      this.notices.replaceChildren(...(message === '' ? [] : [make(message)]));
    }
  }
}
