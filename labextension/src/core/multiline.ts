import type { Output } from './types';

/** Texts of a saved notebook are strings, or lists of strings that follow each other. */
export function joinLines(value: unknown): string {
  if (Array.isArray(value)) {
    return value.map(joinLines).join('');
  }
  return typeof value === 'string' ? value : '';
}

/** Put the texts of a saved output together, as renderers take them. */
export function joinOutputText(output: Output): Output {
  const whole: Output = { ...output };
  if (output.text !== undefined) {
    whole.text = joinLines(output.text);
  }
  if (typeof output.data === 'object' && output.data !== null) {
    whole.data = Object.fromEntries(Object.entries(output.data).map(joinEntry));
  }
  return whole;
}

function joinEntry([type, value]: [string, unknown]): [string, unknown] {
  return [type, isLineList(value) && !type.endsWith('json') ? joinLines(value) : value];
}

function isLineList(value: unknown): boolean {
  return Array.isArray(value) && value.every(line => typeof line === 'string');
}
