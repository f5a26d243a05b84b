/** Which part of a step's outputs is shown at first. */
import type { Output } from '../types';
import { joinLines } from './multiline';
import { asTerminal } from './terminal';

/** Maximum number of lines that are shown of outputs that are not folded. */
export const MAX_LINES = 30;
/** Number of lines that are shown before and after those that are folded. */
const HEAD_LINES = 10;
const TAIL_LINES = MAX_LINES - HEAD_LINES;
/** Number of characters that count as a line, for texts without line breaks. */
const LINE_LENGTH = 200;
/** The lines that an image, a table or a widget counts as: its height is limited. */
const RICH_LINES = 3;
/** Maximum number of characters of rich outputs that are shown at first. */
const MAX_RICH_LENGTH = 200_000;
const TEXT = 'text/plain';

/** Outputs of which those in the middle are folded, if they are long. */
export interface Folded {
  head: Output[];
  tail: Output[];
  /** How much there is in all, such as `20,000 lines`. Null if nothing is folded. */
  amount: string | null;
}

/** Return outputs with each stream's texts joined, and as a terminal shows them. */
export function joinStreams(outputs: readonly Output[]): Output[] {
  const joined: Output[] = [];
  for (const output of outputs) {
    const last = joined.at(-1);
    if (output.output_type !== 'stream') {
      joined.push(output);
    } else if (last?.output_type === 'stream' && last.name === output.name) {
      last.text = (last.text as string) + joinLines(output.text);
    } else {
      joined.push({ ...output, text: joinLines(output.text) });
    }
  }
  return joined.map(output =>
    output.output_type === 'stream'
      ? { ...output, text: asTerminal(output.text as string) }
      : output
  );
}

/** Return the first and the last lines of outputs, or all if they are not long. */
export function foldOutputs(outputs: readonly Output[]): Folded {
  const costs = outputs.map(costOf);
  const lines = costs.reduce((sum, cost) => sum + cost, 0);
  if (lines <= MAX_LINES) {
    return { head: [...outputs], tail: [], amount: null };
  }
  const head = take(outputs, costs, HEAD_LINES, firstLines);
  const tail = take([...outputs].reverse(), [...costs].reverse(), TAIL_LINES, lastLines).reverse();
  const isText = outputs.every(output => textOf(output) !== null);
  const amount = isText ? lineCount(outputs) : `${outputs.length.toLocaleString()} outputs`;
  return { head, tail, amount: outputs.length === 1 && !isText ? 'of the output' : amount };
}

function lineCount(outputs: readonly Output[]): string {
  const count = outputs.reduce((sum, each) => sum + (textOf(each) ?? '').split('\n').length, 0);
  return `${count.toLocaleString()} lines`;
}

/** Return outputs until they cost more than allowed; the last one may be a part of a text. */
function take(
  outputs: readonly Output[],
  costs: readonly number[],
  allowed: number,
  cut: (text: string, lines: number) => string
): Output[] {
  const taken: Output[] = [];
  let left = allowed;
  for (const [index, output] of outputs.entries()) {
    const text = textOf(output);
    if (costs[index] <= left) {
      taken.push(output);
    } else if (text !== null && left > 0) {
      taken.push(withText(output, cut(text, left)));
    }
    left -= costs[index];
    if (left <= 0) {
      break;
    }
  }
  return taken;
}

function costOf(output: Output): number {
  const text = textOf(output);
  if (text !== null) {
    return linesOf(text);
  }
  return richLength(output) > MAX_RICH_LENGTH ? Infinity : RICH_LINES;
}

/** Return the text that an output is, or null for rich ones. */
function textOf(output: Output): string | null {
  if (output.output_type === 'stream') {
    return joinLines(output.text).replace(/\n$/, '');
  }
  if (output.output_type === 'error') {
    const lines: unknown[] = Array.isArray(output.traceback) ? output.traceback : [];
    return lines.map(joinLines).join('\n');
  }
  const data = (output.data ?? {}) as Record<string, unknown>;
  return Object.keys(data).every(type => type === TEXT) ? joinLines(data[TEXT]) : null;
}

function withText(output: Output, text: string): Output {
  switch (output.output_type) {
    case 'stream':
      return { ...output, text };
    case 'error':
      return { ...output, traceback: [text] };
    default:
      return { ...output, data: { [TEXT]: text } };
  }
}

/** Return the length of what becomes elements; images become one. */
function richLength({ data }: Output): number {
  const parts = Object.entries(data ?? {}).filter(([type]) => !type.startsWith('image/'));
  return parts.reduce(
    (sum, [, value]) => sum + (typeof value === 'string' ? value : JSON.stringify(value)).length,
    0
  );
}

/** Return the number of lines of a text; long lines count as several. */
export function linesOf(text: string): number {
  let lines = 0;
  for (let at = 0; at <= text.length;) {
    const end = endOfLine(text, at);
    lines += weight(end - at);
    at = end + 1;
  }
  return lines;
}

/** Return the first lines of a text. */
export function firstLines(text: string, lines: number): string {
  let at = 0;
  for (let left = lines; left > 0 && at <= text.length;) {
    const end = endOfLine(text, at);
    left -= weight(end - at);
    at = left < 0 ? end + left * LINE_LENGTH : end + 1;
  }
  return text.slice(0, at).replace(/\n$/, '');
}

/** Return the last lines of a text. */
export function lastLines(text: string, lines: number): string {
  let end = text.length;
  for (let left = lines; left > 0 && end >= 0;) {
    const start = end === 0 ? 0 : text.lastIndexOf('\n', end - 1) + 1;
    left -= weight(end - start);
    end = left < 0 ? start - left * LINE_LENGTH : start - 1;
  }
  return text.slice(Math.max(0, end)).replace(/^\n/, '');
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end < 0 ? text.length : end;
}

function weight(length: number): number {
  return Math.max(1, Math.ceil(length / LINE_LENGTH));
}
