/** JSON values on one line. */

/** Maximum number of characters of a value that is shown as it is. */
export const SHORT_LENGTH = 60;
/** Maximum number of characters of each value in a preview. */
const PART_LENGTH = 24;

/** Return whether a value is an object or a list with content. */
export function isBranch(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

/** Return a value on one line: `{approved: true}`. Returns null if that is longer than `max`. */
export function shortText(value: unknown, max = SHORT_LENGTH): string | null {
  if (isBranch(value)) {
    return shortBranch(value, max);
  }
  const isLong = typeof value === 'string' && value.length > max;
  const text = isLong ? null : JSON.stringify(value ?? null);
  return text === null || text.length > max ? null : text;
}

function shortBranch(value: object, max: number): string | null {
  const [before, after] = brackets(value);
  let text = before;
  for (const [key, child] of Object.entries(value)) {
    const start = `${text === before ? '' : ', '}${keyText(value, key)}`;
    const part = shortText(child, max - text.length - start.length - 1);
    if (part === null) {
      return null;
    }
    text += start + part;
  }
  return text + after;
}

/** Return the first values of an object, or the number of items of a list: `{total: 12.5, …}`. */
export function preview(value: object): string {
  if (Array.isArray(value)) {
    return itemCount(value.length);
  }
  const parts: string[] = [];
  let length = 0;
  const keys = Object.keys(value);
  for (const key of keys) {
    if (length > SHORT_LENGTH) {
      break;
    }
    const part = keyText(value, key) + shortened((value as Record<string, unknown>)[key]);
    parts.push(part);
    length += part.length;
  }
  return `{${[...parts, ...(parts.length < keys.length ? ['…'] : [])].join(', ')}}`;
}

function shortened(value: unknown): string {
  const text = shortText(value, PART_LENGTH);
  if (text !== null) {
    return text;
  }
  if (typeof value === 'string') {
    return `${JSON.stringify(clip(value, PART_LENGTH)).slice(0, -1)}…"`;
  }
  return Array.isArray(value) ? itemCount(value.length) : '{…}';
}

function itemCount(count: number): string {
  return `[${count.toLocaleString()} ${count === 1 ? 'item' : 'items'}]`;
}

/** Return the brackets around the children of a value. */
export function brackets(value: object): [string, string] {
  return Array.isArray(value) ? ['[', ']'] : ['{', '}'];
}

/** Return what is before a child of a value: its key, or nothing in a list. */
export function keyText(value: object, key: string): string {
  if (Array.isArray(value)) {
    return '';
  }
  return `${/^[\w$-]{1,60}$/.test(key) ? key : JSON.stringify(clip(key, SHORT_LENGTH))}: `;
}

/** Return the first characters of a text, without half a surrogate pair. */
export function clip(text: string, length: number): string {
  return text.slice(0, length).replace(/[\uD800-\uDBFF]$/, '');
}
