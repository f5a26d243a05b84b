import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { guard } from 'lit/directives/guard.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { repeat } from 'lit/directives/repeat.js';
import { Component, uniqueId } from '../component';
import type { RunItem } from '../types';
import { focusFirst, hasFocus, isFocused, isFocusLost } from '../focus';
import { runRow } from './run-row';
import type { Selection } from './selection';

/** Runs below a head. */
export interface Group {
  key: string;
  label: string;
  head: unknown;
  runs: readonly RunItem[];
  /** What follows the runs, such as a button that reads more of them. */
  foot: unknown;
}

/** The properties of {@link rowList}. */
export interface RowListProps {
  groups: readonly Group[];
  selection: Selection;
  /** The id of the run that was opened last. */
  opened: string | null;
  /** Whether rows name their workflow. */
  hasWorkflow: boolean;
  onOpen: (id: string) => void;
  /** Called when the selection has changed. */
  onSelect: () => void;
}

/** How many rows a key moves the focus. */
const STEPS: Partial<Record<string, number>> = {
  ArrowDown: 1,
  j: 1,
  ArrowUp: -1,
  k: -1,
  Home: -Infinity,
  End: Infinity
};

const KEYS =
  'Keys: j and k or the arrows move, Enter opens, x or Space selects, Shift with them selects a ' +
  'range, Ctrl+A selects all, Esc clears the selection.';

/** The row that the Tab key reaches. */
export const CURRENT_ROW = '.jp-PDFlow-row-open[tabindex="0"]';

class RowList extends Component<RowListProps> {
  private readonly container = createRef<HTMLElement>();
  private readonly keysId = uniqueId();
  private isRange = false;

  protected template(): TemplateResult {
    const { groups } = this.props;
    this.keepFocus();
    const isEmpty = groups.every(group => group.runs.length === 0);
    return html`<div
      class="jp-PDFlow-list"
      role="group"
      aria-label="Runs"
      aria-describedby=${this.keysId}
      tabindex="-1"
      ${ref(this.container)}
      @mousedown=${this.onMouseDown}
      @click=${this.onClick}
      @change=${this.onChange}
      @focusin=${this.onFocus}
      @keydown=${this.onKeydown}
      @keyup=${keepSpace}
    >
      ${repeat(groups, group => group.key, this.group)}
      <p class="jp-PDFlow-keys" id=${this.keysId} ?hidden=${isEmpty}>${KEYS}</p>
    </div>`;
  }

  private readonly group = ({ label, head, runs, foot }: Group): TemplateResult =>
    html`<section
      class="jp-PDFlow-group"
      aria-label=${label}
      ?hidden=${runs.length === 0 && foot === nothing}
    >
      ${head}
      <ul class="jp-PDFlow-rows" role="list">
        ${repeat(runs, run => run.id, this.row)}
      </ul>
      ${foot}
    </section>`;

  private readonly row = (run: RunItem): unknown => {
    const { selection, opened, hasWorkflow } = this.props;
    const isSelected = selection.has(run.id);
    const isCurrent = selection.current === run.id;
    const isOpened = opened === run.id;
    const draw = (): TemplateResult =>
      runRow({ run, isSelected, isCurrent, isOpened, hasWorkflow });
    return guard([run, isSelected, isCurrent, isOpened, hasWorkflow], draw);
  };

  /** Move the focus to the current row if the focused one is gone once the list is drawn. */
  private keepFocus(): void {
    const element = this.container.value;
    if (element && hasFocus(element)) {
      queueMicrotask(() => {
        if (isFocused(element) || isFocusLost(element)) {
          focusFirst(element, CURRENT_ROW);
        }
        if (isFocusLost(element)) {
          element.focus({ preventScroll: true });
        }
      });
    }
  }

  private readonly onMouseDown = (event: MouseEvent): void => {
    this.isRange = event.shiftKey;
    if (event.shiftKey) {
      // Without it, the texts between the rows are selected.
      event.preventDefault();
    }
  };

  private readonly onClick = ({ target, shiftKey, ctrlKey, metaKey }: MouseEvent): void => {
    const id = idOf(target);
    if (id === null || !(target as Element).closest('.jp-PDFlow-row-open')) {
      return;
    }
    if (shiftKey || ctrlKey || metaKey) {
      this.toggle(id, shiftKey);
    } else {
      this.props.onOpen(id);
    }
  };

  private readonly onChange = ({ target }: Event): void => {
    const id = idOf(target);
    if (id !== null) {
      this.toggle(id, this.isRange);
      this.isRange = false;
    }
  };

  private readonly onFocus = ({ target }: FocusEvent): void => {
    const id = idOf(target);
    if (id !== null && id !== this.props.selection.current) {
      this.props.selection.current = id;
      this.requestUpdate();
    }
  };

  private readonly onKeydown = (event: KeyboardEvent): void => {
    const { key, target, shiftKey } = event;
    const isRow = idOf(target) !== null || target === this.container.value;
    this.isRange = shiftKey;
    if (isRow && this.act(key.length === 1 ? key.toLowerCase() : key, event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  };

  /** Do what a key means. Returns whether it means anything. */
  private act(key: string, { target, shiftKey, ctrlKey, metaKey, altKey }: KeyboardEvent): boolean {
    const { selection, onSelect } = this.props;
    const isBox = target instanceof HTMLInputElement;
    const step = STEPS[key];
    if (ctrlKey || metaKey || altKey) {
      return key === 'a' && !altKey && this.selectAll();
    }
    if (step !== undefined) {
      this.move(step, shiftKey && Math.abs(step) === 1);
    } else if (key === 'Escape' && selection.runs.length > 0) {
      selection.clear();
      onSelect();
    } else if ((key === 'x' || (key === ' ' && !isBox)) && selection.current !== null) {
      this.toggle(selection.current, shiftKey);
    } else if (key === 'Enter' && isBox && selection.current !== null) {
      this.props.onOpen(selection.current);
    } else if (key === 'ArrowLeft' || key === 'ArrowRight') {
      this.focusIn(selection.current, key === 'ArrowLeft' ? 'input:enabled' : 'button');
    } else {
      return false;
    }
    return true;
  }

  private move(step: number, isRange: boolean): void {
    const { selection } = this.props;
    const from = selection.current;
    const id = selection.next(step);
    if (isRange && from !== null && id !== undefined) {
      selection.extend(from, id);
      this.props.onSelect();
    }
    this.focusIn(id ?? null, 'button');
  }

  private toggle(id: string, isRange: boolean): void {
    this.props.selection.toggle(id, isRange);
    this.props.onSelect();
  }

  private selectAll(): boolean {
    this.props.selection.selectAll();
    this.props.onSelect();
    return true;
  }

  private focusIn(id: string | null, selector: string): void {
    const row = id === null ? null : rowOf(this.container.value, id);
    row?.querySelector<HTMLElement>(selector)?.focus();
  }
}

/** The rows of runs in groups, of which the Tab key reaches one. Keys and clicks select and open. */
export const rowList = directive(RowList);

/** Focus the list, in a view of runs: its current row, or the button that leads back to it. */
export function focusList(view: ParentNode): void {
  focusFirst(view, '.jp-PDFlow-back', CURRENT_ROW, '.jp-PDFlow-list');
}

/** Return the row of a run. */
export function rowOf(within: ParentNode | undefined, id: string): HTMLElement | undefined {
  const rows = within?.querySelectorAll<HTMLElement>('.jp-PDFlow-row') ?? [];
  return [...rows].find(row => row.dataset.run === id);
}

function idOf(target: EventTarget | null): string | null {
  const row = target instanceof Element ? target.closest<HTMLElement>('.jp-PDFlow-row') : null;
  return row?.dataset.run ?? null;
}

/** Keep the Space key from opening a row: it selects. */
function keepSpace(event: KeyboardEvent): void {
  if (event.key === ' ' && event.target instanceof HTMLButtonElement && idOf(event.target)) {
    event.preventDefault();
  }
}
