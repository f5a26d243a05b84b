import type { Output } from './types';

/** Texts of a saved notebook are strings, or lists of strings that follow each other. */
export function joined(value: unknown): string {
  if (Array.isArray(value)) {
    return value.map(joined).join('');
  }
  return typeof value === 'string' ? value : '';
}

/** Put the texts of a saved output together, as renderers take them. */
export function withJoinedTexts(output: Output): Output {
  const whole: Output = { ...output };
  if (output.text !== undefined) {
    whole.text = joined(output.text);
  }
  if (typeof output.data === 'object' && output.data !== null) {
    whole.data = Object.fromEntries(Object.entries(output.data).map(joinedEntry));
  }
  return whole;
}

function joinedEntry([type, value]: [string, unknown]): [string, unknown] {
  return [type, isSplit(value) && !type.endsWith('json') ? joined(value) : value];
}

function isSplit(value: unknown): boolean {
  return Array.isArray(value) && value.every(line => typeof line === 'string');
}
