/** Single JSON values, as parts of a line. */
import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { copyButton } from '../copy-button';
import { clippedText } from './clipped-text';
import { brackets, isBranch, keyText } from './short';

/** Returns the URL that a text links to, or null if it is not a link. */
export type ResolveLink = (text: string) => string | null;

/** Return a value on one line: strings as links if they are, objects with their braces. */
export function inlineValue(value: unknown, resolveLink?: ResolveLink): TemplateResult {
  if (isBranch(value)) {
    const [before, after] = brackets(value);
    const children = Object.entries(value).map(
      ([key, child], index) =>
        html`${index > 0 ? ', ' : nothing}${keyText(value, key)}${inlineValue(child, resolveLink)}`
    );
    return html`<span class="jp-PDFlow-json-inline">${before}${children}${after}</span>`;
  }
  if (typeof value === 'string') {
    return linkOf(value, JSON.stringify(value), resolveLink) ?? stringValue(value);
  }
  const kind = value === null || typeof value === 'object' ? 'null' : typeof value;
  const classes = `jp-PDFlow-json-value jp-PDFlow-json-${kind}`;
  return html`<span class=${classes}>${JSON.stringify(value ?? null)}</span>`;
}

function stringValue(value: string): TemplateResult {
  const json = JSON.stringify(value);
  return html`<span class="jp-PDFlow-json-value jp-PDFlow-json-string"
    >${clippedText({ text: json })}</span
  >`;
}

/** Return a string as a link to a file, or null if it is not one. */
export function linkOf(
  value: string,
  label: string,
  resolveLink?: ResolveLink
): TemplateResult | null {
  const url = resolveLink?.(value) ?? null;
  return url === null
    ? null
    : html`<a class="jp-PDFlow-json-value jp-PDFlow-json-string" href=${url} download>${label}</a>`;
}

/** Return a value's name. */
export function labelOf(label: string | null): unknown {
  return label === null ? nothing : html`<span class="jp-PDFlow-json-key">${label}</span>: `;
}

/** Return a button that copies a value. It is shown while the value is hovered or focused. */
export function copyValue(value: unknown, label: string | null): unknown {
  return copyButton({
    text: () => (typeof value === 'string' ? value : JSON.stringify(value ?? null, null, 2)),
    name: label === null ? 'Copy the value' : `Copy ${label}`
  });
}
