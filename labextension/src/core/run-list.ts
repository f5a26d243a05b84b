import {
  arrangeChildren,
  button,
  el,
  focusedElement,
  restoreFocus,
  setText,
  setVisible
} from './dom';
import type { GroupName } from './run-order';
import { RunRow } from './run-row';
import type { Listing } from './runs-model';
import { stopCountingIn } from './ticker';
import type { RunItem } from './types';

const TITLES: Record<GroupName, string> = {
  waiting: 'Waiting for a person',
  active: 'Active',
  ended: 'Ended'
};
const GROUP_NAMES: GroupName[] = ['waiting', 'active', 'ended'];

interface Group {
  node: HTMLElement;
  list: HTMLElement;
}

/** Callbacks of the list. */
export interface RunListCallbacks {
  onOpen: (id: string) => void;
  onSelect: (selected: ReadonlySet<string>) => void;
  onMore: (group: 'active' | 'ended') => void;
}

/** The rows of the runs, in groups. A run keeps its row while it changes. */
export class RunList {
  readonly node: HTMLElement;
  readonly selected = new Set<string>();
  private readonly rows = new Map<string, RunRow>();
  private readonly groups: Record<GroupName, Group>;
  private readonly moreActive: HTMLButtonElement;
  private readonly moreEnded: HTMLButtonElement;

  /** @param callbacks - called when a run is opened or selected, or more runs are requested */
  constructor(private readonly callbacks: RunListCallbacks) {
    this.groups = { waiting: group('waiting'), active: group('active'), ended: group('ended') };
    this.moreActive = button('', () => callbacks.onMore('active'), { class: 'button more' });
    this.moreEnded = button('', () => callbacks.onMore('ended'), { class: 'button more' });
    this.node = el(
      'div',
      { class: 'list', tabindex: -1 },
      this.groups.waiting.node,
      this.groups.active.node,
      this.moreActive,
      this.groups.ended.node,
      this.moreEnded
    );
    this.node.addEventListener('keydown', event => this.moveFocus(event));
  }

  /** Update the rows. Rows that did not change are not touched. */
  update(listing: Listing, searching: boolean): void {
    const active = focusedElement(this.node);
    const visibleIds = new Set<string>();
    for (const name of GROUP_NAMES) {
      const runs = listing.groups[name];
      arrangeChildren(
        this.groups[name].list,
        runs.map(run => this.rowOf(run).node)
      );
      setVisible(this.groups[name].node, runs.length > 0);
      runs.forEach(run => visibleIds.add(run.id));
    }
    this.removeOtherRows(visibleIds);
    this.deselectInactive(listing);
    setText(this.moreActive, searching ? 'Search more active runs' : 'Show more active runs');
    setText(this.moreEnded, searching ? 'Search older runs' : 'Show more');
    setVisible(this.moreActive, listing.more.active);
    setVisible(this.moreEnded, listing.more.ended);
    this.keepFocus(active);
  }

  /** Deselect all runs. */
  clearSelection(): void {
    this.selected.clear();
    this.rows.forEach(row => row.select(false));
    this.callbacks.onSelect(this.selected);
  }

  /** Focus a run, or the list if it does not have the run. */
  focus(id: string): void {
    const row = this.rows.get(id);
    (row?.opener ?? this.node).focus({ preventScroll: row === undefined });
  }

  /** Remove the list. */
  dispose(): void {
    stopCountingIn(this.node);
    this.node.remove();
  }

  private rowOf(run: RunItem): RunRow {
    const existing = this.rows.get(run.id);
    if (existing) {
      existing.update(run);
      return existing;
    }
    const row = new RunRow(run, this.callbacks.onOpen, (id, selected) => {
      if (selected) {
        this.selected.add(id);
      } else {
        this.selected.delete(id);
      }
      this.callbacks.onSelect(this.selected);
    });
    this.rows.set(run.id, row);
    return row;
  }

  private removeOtherRows(visibleIds: Set<string>): void {
    for (const [id, row] of this.rows) {
      if (!visibleIds.has(id)) {
        row.dispose();
        this.rows.delete(id);
      }
    }
  }

  /** Deselect runs that have ended or are not listed any more. */
  private deselectInactive({ groups }: Listing): void {
    const open = new Set([...groups.waiting, ...groups.active].map(run => run.id));
    for (const id of this.selected) {
      if (!open.has(id)) {
        this.selected.delete(id);
        this.rows.get(id)?.select(false);
      }
    }
  }

  private keepFocus(active: Element | null): void {
    if (active === null || active.isConnected) {
      restoreFocus(this.node, active);
    } else {
      this.node.focus({ preventScroll: true });
    }
  }

  /** Move the focus between rows with the arrow keys, Home and End. */
  private moveFocus(event: KeyboardEvent): void {
    const openers = [...this.node.querySelectorAll<HTMLElement>('.jp-PDFlow-row-open')];
    const at = openers.findIndex(opener => opener === event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: openers.length - 1 }[event.key];
    if (at >= 0 && to !== undefined) {
      event.preventDefault();
      openers.at(Math.min(Math.max(to, 0), openers.length - 1))?.focus();
    }
  }
}

function group(name: GroupName): Group {
  const list = el('ul', { class: 'rows', role: 'list' });
  const head = el('h3', { class: 'group-head' }, TITLES[name]);
  const node = el('section', { class: 'group', 'data-group': name, hidden: true }, head, list);
  node.setAttribute('aria-label', TITLES[name]);
  return { node, list };
}
