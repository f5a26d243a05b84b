import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { directive } from 'lit/async-directive.js';
import { createRef, ref } from 'lit/directives/ref.js';
import { repeat } from 'lit/directives/repeat.js';
import { Component } from '../component';
import { button } from '../parts';
import { switchOf } from './switch';
import type { ResolveLink } from './json-value';
import { copyValue, inlineValue, labelOf } from './json-value';
import { columnsOf, recordTable } from './records';
import { isBranch, preview, shortText } from './short';

export { STRING_LIMIT } from './clipped-text';
export type { ResolveLink } from './json-value';

/** Number of children that are shown at a time. */
export const PAGE_SIZE = 100;

const SHAPES = ['Table', 'Tree'] as const;

/**
 * Return a JSON value as a collapsible tree; lists of flat objects are tables.
 *
 * To open large values quickly, children are built when they are first expanded, long lists have
 * pages, and long strings are truncated. Values that fit on one line are shown as they are.
 *
 * @param value - any JSON value
 * @param label - the value's name
 * @param resolveLink - returns the URLs of strings that are links
 * @param isOpen - whether the value is expanded at first; without it, tables are
 */
export function jsonTree(
  value: unknown,
  label?: string,
  resolveLink?: ResolveLink,
  isOpen?: boolean
): TemplateResult {
  const content = node({ value, label: label ?? null, resolveLink, isOpen });
  return html`<div class="jp-PDFlow-json">${content}</div>`;
}

interface NodeProps {
  value: unknown;
  label: string | null;
  resolveLink?: ResolveLink;
  isOpen?: boolean;
}

function node(props: NodeProps): unknown {
  const { value, label, resolveLink } = props;
  if (isBranch(value) && shortText(value) === null) {
    return branch(props);
  }
  return html`<div class="jp-PDFlow-json-leaf">
    ${labelOf(label)}${inlineValue(value, resolveLink)}${copyValue(value, label)}
  </div>`;
}

class Branch extends Component<NodeProps> {
  private readonly list = createRef<HTMLElement>();
  private isOpen = false;
  private isBuilt = false;
  private shown = PAGE_SIZE;
  private shape: (typeof SHAPES)[number] = 'Table';
  private entries: [string, unknown][] = [];
  private columns: string[] | null = null;

  protected override start(): void {
    this.read();
    this.isOpen = this.props.isOpen ?? this.columns !== null;
    this.isBuilt ||= this.isOpen;
  }

  protected override propsChanged({ value }: NodeProps): void {
    if (value !== this.props.value) {
      this.read();
    }
  }

  protected template(): unknown {
    const { value, label } = this.props;
    return html`<div class="jp-PDFlow-json-branch">
      <details ?open=${this.isOpen} @toggle=${this.onToggle}>
        <summary>
          ${labelOf(label)}<span class="jp-PDFlow-json-preview">${preview(value as object)}</span>
        </summary>
        ${this.isBuilt ? this.content() : nothing}
      </details>
      ${copyValue(value, label)}
    </div>`;
  }

  private read(): void {
    this.entries = Object.entries(this.props.value as object);
    this.columns = columnsOf(this.props.value);
  }

  private readonly onToggle = ({ currentTarget }: Event): void => {
    if (!this.isBuilt && (currentTarget as HTMLDetailsElement).open) {
      this.isBuilt = true;
      this.requestUpdate();
    }
  };

  private content(): TemplateResult {
    const { columns } = this;
    if (columns === null) {
      return html`<div class="jp-PDFlow-json-children">${this.children()}</div>`;
    }
    const { value, label, resolveLink } = this.props;
    const table = { rows: value as unknown[], columns, label: label ?? 'Table', resolveLink };
    return html`<div class="jp-PDFlow-json-children">
      ${switchOf('Show as', SHAPES, this.shape, this.setShape)}
      ${this.shape === 'Table' ? recordTable(table) : this.children()}
    </div>`;
  }

  private readonly setShape = (shape: (typeof SHAPES)[number]): void => {
    this.shape = shape;
    this.requestUpdate();
  };

  private children(): unknown {
    const { resolveLink } = this.props;
    const rest = this.entries.length - this.shown;
    const label = `Show ${Math.min(rest, PAGE_SIZE)} more of ${rest.toLocaleString()}`;
    const shown = this.entries.slice(0, this.shown);
    return html`<div ${ref(this.list)}>
        ${repeat(
          shown,
          ([key]) => key,
          ([key, value]) => node({ value, label: key, resolveLink, isOpen: false })
        )}
      </div>
      ${rest > 0 ? button(label, this.nextPage, 'link') : nothing}`;
  }

  private readonly nextPage = (): void => {
    const first = this.shown;
    this.shown += PAGE_SIZE;
    this.requestUpdate();
    queueMicrotask(() => {
      const child = this.list.value?.children[first];
      child?.querySelector<HTMLElement>('summary, button')?.focus();
    });
  };
}

/** A value with children, which are built when it is first expanded. */
const branch = directive(Branch);
