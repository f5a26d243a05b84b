/** How messages to a person are read and shortened. */

/** JupyterLab cuts longer texts of notifications. */
const MAX_TOAST_LENGTH = 140;

/** The place in a notebook that a message names. */
export interface Place {
  /** The name of a step, or the number of a cell from 1. */
  step?: string;
  cell?: number;
}

/** Return the place that a message names, or null. */
export function placeIn(message: string): Place | null {
  const step = /\bstep '(\w+)'/i.exec(message)?.[1];
  if (step !== undefined) {
    return { step };
  }
  const cell = /\bcell (\d+)\b/i.exec(message)?.[1];
  return cell === undefined ? null : { cell: Number(cell) };
}

/** Return a text as a notification shows it: whole, or its first sentence. */
export function shortText(text: string): string {
  if (text.length <= MAX_TOAST_LENGTH && !text.includes('\n')) {
    return text;
  }
  const first = /^.*?[.!?:;](?=\s|$)/.exec(text)?.[0] ?? text.split('\n')[0];
  const sentence = first.replace(/[:;]$/, '.');
  return sentence.length <= MAX_TOAST_LENGTH
    ? sentence
    : `${sentence.slice(0, MAX_TOAST_LENGTH - 1)}…`;
}

/** Return the warnings of `%pdflow production`, from all that it has said. */
export function warningsIn(text: string): string[] {
  const lines = text.split('\n').filter(line => line.trim() !== '');
  return lines.filter(line => !/^(Production mode|Step cells)\b/.test(line));
}
