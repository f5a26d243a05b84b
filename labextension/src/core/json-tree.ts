import { copyButton } from './copy-button';
import { button, el } from './dom';

/** Elements of a list that are shown at a time. */
export const PAGE = 100;
/** Characters of a string that are shown until "more" is asked for. */
export const STRING_LIMIT = 300;
const PREVIEW_LIMIT = 60;

/** Tells the address of what a text names; null if it names nothing. */
export type ResolveLink = (text: string) => string | null;

/**
 * Show a JSON value as a collapsible tree.
 *
 * What is collapsed is not built before it is opened, long lists come in pages and long strings
 * are cut, so that megabytes open at once.
 *
 * @param value - any JSON value
 * @param label - what it is called
 * @param linkOf - which texts are links
 */
export function jsonTree(value: unknown, label?: string, resolveLink?: ResolveLink): HTMLElement {
  return el('div', { class: 'json' }, node(value, label ?? null, resolveLink));
}

function node(value: unknown, label: string | null, resolveLink?: ResolveLink): HTMLElement {
  return isBranch(value) ? branch(value, label, resolveLink) : leaf(value, label, resolveLink);
}

function isBranch(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

function leaf(value: unknown, label: string | null, resolveLink?: ResolveLink): HTMLElement {
  const valueNode = typeof value === 'string' ? stringNode(value, resolveLink) : plainNode(value);
  return el(
    'div',
    { class: 'json-leaf' },
    ...labelNodes(label),
    valueNode,
    copyValueButton(value, label)
  );
}

function labelNodes(label: string | null): Node[] {
  return label === null
    ? []
    : [el('span', { class: 'json-key' }, label), document.createTextNode(': ')];
}

function plainNode(value: unknown): HTMLElement {
  const kind = value === null || typeof value === 'object' ? 'null' : typeof value;
  return el('span', { class: `json-value json-${kind}` }, JSON.stringify(value ?? null));
}

function stringNode(value: string, resolveLink?: ResolveLink): HTMLElement {
  const whole = JSON.stringify(value);
  const url = resolveLink?.(value) ?? null;
  if (url !== null) {
    return el('a', { class: 'json-value json-string', href: url, download: '' }, whole);
  }
  if (whole.length <= STRING_LIMIT) {
    return el('span', { class: 'json-value json-string' }, whole);
  }
  const text = document.createTextNode(`${whole.slice(0, STRING_LIMIT)}…`);
  const rest = (whole.length - STRING_LIMIT).toLocaleString();
  const more = button(
    `more (${rest} characters)`,
    () => {
      const open = more.getAttribute('aria-expanded') === 'true';
      text.data = open ? `${whole.slice(0, STRING_LIMIT)}…` : whole;
      more.textContent = open ? `more (${rest} characters)` : 'less';
      more.setAttribute('aria-expanded', String(!open));
    },
    { class: 'link', 'aria-expanded': 'false' }
  );
  return el('span', { class: 'json-value json-string' }, text, ' ', more);
}

function branch(value: object, label: string | null, resolveLink?: ResolveLink): HTMLElement {
  const entries = (): [string, unknown][] => Object.entries(value);
  const summary = el(
    'summary',
    {},
    ...labelNodes(label),
    el('span', { class: 'json-preview' }, preview(value))
  );
  const children = el('div', { class: 'json-children' });
  const details = el('details', {}, summary, children);
  let built = false;
  details.addEventListener('toggle', () => {
    if (details.open && !built) {
      built = true;
      children.append(copyValueButton(value, label));
      addPage(children, entries(), 0, resolveLink);
    }
  });
  return details;
}

/** Add a page of children, and a button for the next one. */
function addPage(
  parent: HTMLElement,
  entries: [string, unknown][],
  from: number,
  resolveLink?: ResolveLink
): void {
  const page = entries
    .slice(from, from + PAGE)
    .map(([key, child]) => node(child, key, resolveLink));
  parent.append(...page);
  if (from > 0) {
    page[0]?.querySelector<HTMLElement>('summary, button')?.focus();
  }
  const left = entries.length - from - PAGE;
  if (left > 0) {
    const next = button(
      `Show ${Math.min(left, PAGE)} more of ${left.toLocaleString()}`,
      () => {
        addPage(parent, entries, from + PAGE, resolveLink);
        next.remove();
      },
      { class: 'link' }
    );
    parent.append(next);
  }
}

/** Say in a few characters what is in a collapsed value. */
function preview(value: object): string {
  const size = Object.keys(value).length;
  if (Array.isArray(value)) {
    return `[${size.toLocaleString()} ${size === 1 ? 'item' : 'items'}]`;
  }
  const keys = Object.keys(value).slice(0, 8).join(', ');
  const cut = keys.length > PREVIEW_LIMIT || size > 8;
  return `{${keys.slice(0, PREVIEW_LIMIT)}${cut ? '…' : ''}}`;
}

function copyValueButton(value: unknown, label: string | null): HTMLElement {
  const text = (): string => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));
  return copyButton(text, label === null ? 'Copy the value' : `Copy ${label}`);
}
