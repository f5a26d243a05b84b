/** Read what a person enters as JSON. */

/** The result of reading text as JSON: a value, or a message that says what is wrong. */
export type PayloadCheck = { ok: true; value: unknown } | { ok: false; message: string };

/** Read text as JSON. Empty text is null. */
export function checkPayload(text: string): PayloadCheck {
  if (text.trim() === '') {
    return { ok: true, value: null };
  }
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch (error) {
    return { ok: false, message: syntaxMessage(text, error) };
  }
}

function syntaxMessage(text: string, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const position = /position (\d+)/.exec(message)?.[1];
  const location =
    position === undefined || !text.includes('\n')
      ? ''
      : ` (line ${lineOf(text, Number(position))})`;
  return `This is not JSON yet${location}: ${hint(text)}`;
}

function lineOf(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}

function hint(text: string): string {
  const trimmed = text.trim();
  if (/^'|[{[,:]\s*'/.test(trimmed)) {
    return 'put text in double quotes, such as "yes".';
  }
  if (/\b(True|False|None)\b/.test(trimmed)) {
    return 'write true, false or null.';
  }
  if (/,\s*[}\]]/.test(trimmed)) {
    return 'remove the comma before the closing bracket.';
  }
  if (/^[A-Za-z][\w\s.!?-]*$/.test(trimmed)) {
    return 'put text in double quotes, such as "yes".';
  }
  return 'write JSON such as {"approved": true}, or leave the field empty.';
}
