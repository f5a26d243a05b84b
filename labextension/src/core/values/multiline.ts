import type { Output } from '../types';

/** Return a text of a saved notebook, which stores it as a string or as a list of lines. */
export function joinLines(value: unknown): string {
  if (Array.isArray(value)) {
    return value.map(joinLines).join('');
  }
  return typeof value === 'string' ? value : '';
}

/** Return an output with each list of lines joined to one string, as renderers expect. */
export function joinOutputText(output: Output): Output {
  const joined: Output = { ...output };
  if (output.text !== undefined) {
    joined.text = joinLines(output.text);
  }
  if (typeof output.data === 'object' && output.data !== null) {
    joined.data = Object.fromEntries(Object.entries(output.data).map(joinEntry));
  }
  return joined;
}

function joinEntry([type, value]: [string, unknown]): [string, unknown] {
  return [type, isLineList(value) && !type.endsWith('json') ? joinLines(value) : value];
}

function isLineList(value: unknown): boolean {
  return Array.isArray(value) && value.every(line => typeof line === 'string');
}
