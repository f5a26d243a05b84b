/** Lists of flat objects as tables. */
import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { Component } from '../component';
import { button } from '../parts';
import { clippedText } from './clipped-text';
import type { ResolveLink } from './json-value';
import { inlineValue, linkOf } from './json-value';
import { preview, shortText } from './short';

/** Number of rows that are shown at first, and at each *Show more*. */
const ROWS = 100;
/** Number of columns that are shown at first. */
const COLUMNS = 20;
/** Number of characters of a cell's text that are shown at first. */
const CELL_LENGTH = 100;
/** Number of rows that are looked at for columns. */
const SAMPLE = 1000;

type Row = Record<string, unknown>;

/**
 * Return the keys of a list of flat objects, or null if it is not one.
 *
 * A flat object has only single values, and lists and objects that fit on one line. The first rows
 * count; later ones may have keys that are shown only in the tree.
 */
export function columnsOf(value: unknown): string[] | null {
  if (!Array.isArray(value) || value.length < 2) {
    return null;
  }
  const rows: unknown[] = value.slice(0, SAMPLE);
  return rows.every(isFlat) ? [...new Set(rows.flatMap(Object.keys))] : null;
}

function isFlat(value: unknown): value is Row {
  const isRow = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isRow && Object.values(value).every(each => isSingle(each) || shortText(each) !== null);
}

function isSingle(value: unknown): boolean {
  return typeof value !== 'object' || value === null;
}

/** The properties of {@link recordTable}. */
export interface RecordTableProps {
  rows: readonly unknown[];
  columns: readonly string[];
  label: string;
  resolveLink?: ResolveLink;
}

class RecordTable extends Component<RecordTableProps> {
  private readonly region = createRef<HTMLElement>();
  private rowCount = ROWS;
  private columnCount = COLUMNS;

  protected template(): unknown {
    const { rows, columns, label } = this.props;
    const shown = columns.slice(0, this.columnCount);
    const heads = shown.map(column => html`<th scope="col">${column}</th>`);
    return html`<div
        ${ref(this.region)}
        class="jp-PDFlow-scroll jp-PDFlow-table"
        tabindex="0"
        role="region"
        aria-label=${label}
      >
        <table>
          <thead>
            <tr>
              ${heads}
            </tr>
          </thead>
          <tbody>
            ${rows.slice(0, this.rowCount).map(row => this.row(row, shown))}
          </tbody>
        </table>
      </div>
      <div class="jp-PDFlow-table-more">${this.more()}</div>`;
  }

  private row(row: unknown, columns: readonly string[]): TemplateResult {
    if (typeof row !== 'object' || row === null) {
      return html`<tr>
        <td colspan=${columns.length}>${cell(row)}</td>
      </tr>`;
    }
    const cells = columns.map(column => {
      const value = Object.hasOwn(row, column) ? (row as Row)[column] : undefined;
      const isNumber = typeof value === 'number';
      return html`<td class=${isNumber ? 'jp-PDFlow-number' : nothing}>
        ${cell(value, this.props.resolveLink)}
      </td>`;
    });
    return html`<tr>
      ${cells}
    </tr>`;
  }

  private more(): unknown {
    const rows = this.props.rows.length - this.rowCount;
    const columns = this.props.columns.length - this.columnCount;
    const rowText =
      rows > ROWS ? `Show ${ROWS} more of ${rows.toLocaleString()} rows` : `Show ${rows} more rows`;
    return [
      rows > 0 ? button(rowText, () => this.show({ rows: ROWS }), 'link') : nothing,
      columns > 0
        ? button(`Show ${columns} more columns`, () => this.show({ columns: Infinity }), 'link')
        : nothing
    ];
  }

  private show({ rows = 0, columns = 0 }): void {
    const pressed = document.activeElement;
    this.rowCount += rows;
    this.columnCount += columns;
    this.requestUpdate();
    queueMicrotask(() => pressed?.isConnected || this.region.value?.focus());
  }
}

/** A list of flat objects as a table. */
export const recordTable = directive(RecordTable);

function cell(value: unknown, resolveLink?: ResolveLink): unknown {
  if (typeof value === 'string') {
    return linkOf(value, value, resolveLink) ?? clippedText({ text: value, limit: CELL_LENGTH });
  }
  if (value === undefined) {
    return nothing;
  }
  const isLong = !isSingle(value) && shortText(value) === null;
  return isLong ? preview(value as object) : inlineValue(value, resolveLink);
}
