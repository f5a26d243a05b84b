import { copyButton } from './copy-button';
import { button, el } from './dom';

/** Number of children that are shown at a time. */
export const PAGE_SIZE = 100;
/** Number of characters of a string that are shown before "more" is clicked. */
export const STRING_LIMIT = 300;
const PREVIEW_LIMIT = 60;

/** Returns the URL that a text links to, or null if it is not a link. */
export type ResolveLink = (text: string) => string | null;

/**
 * Return a JSON value as a collapsible tree.
 *
 * To open large values quickly, children are built when they are first expanded, long lists have
 * pages, and long strings are truncated.
 *
 * @param value - any JSON value
 * @param label - the value's name
 * @param resolveLink - returns the URLs of strings that are links
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
  const json = JSON.stringify(value);
  const url = resolveLink?.(value) ?? null;
  if (url !== null) {
    return el('a', { class: 'json-value json-string', href: url, download: '' }, json);
  }
  if (json.length <= STRING_LIMIT) {
    return el('span', { class: 'json-value json-string' }, json);
  }
  const text = document.createTextNode(`${json.slice(0, STRING_LIMIT)}…`);
  const rest = (json.length - STRING_LIMIT).toLocaleString();
  const more = button(
    `more (${rest} characters)`,
    () => {
      const open = more.getAttribute('aria-expanded') === 'true';
      text.data = open ? `${json.slice(0, STRING_LIMIT)}…` : json;
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

/** Append a page of children, and a button for the next page. */
function addPage(
  parent: HTMLElement,
  entries: [string, unknown][],
  from: number,
  resolveLink?: ResolveLink
): void {
  const page = entries
    .slice(from, from + PAGE_SIZE)
    .map(([key, child]) => node(child, key, resolveLink));
  parent.append(...page);
  if (from > 0) {
    page[0]?.querySelector<HTMLElement>('summary, button')?.focus();
  }
  const remaining = entries.length - from - PAGE_SIZE;
  if (remaining > 0) {
    const next = button(
      `Show ${Math.min(remaining, PAGE_SIZE)} more of ${remaining.toLocaleString()}`,
      () => {
        addPage(parent, entries, from + PAGE_SIZE, resolveLink);
        next.remove();
      },
      { class: 'link' }
    );
    parent.append(next);
  }
}

/** Return a short summary of a collapsed value. */
function preview(value: object): string {
  const size = Object.keys(value).length;
  if (Array.isArray(value)) {
    return `[${size.toLocaleString()} ${size === 1 ? 'item' : 'items'}]`;
  }
  const keys = Object.keys(value).slice(0, 8).join(', ');
  const isTruncated = keys.length > PREVIEW_LIMIT || size > 8;
  return `{${keys.slice(0, PREVIEW_LIMIT)}${isTruncated ? '…' : ''}}`;
}

function copyValueButton(value: unknown, label: string | null): HTMLElement {
  const text = (): string => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));
  return copyButton(text, label === null ? 'Copy the value' : `Copy ${label}`);
}
