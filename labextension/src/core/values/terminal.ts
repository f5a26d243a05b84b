/** What a terminal shows of a text that moves its cursor back, as progress bars do. */

// eslint-disable-next-line no-control-regex
const MOVES = /[\r\u0008]/;
// eslint-disable-next-line no-control-regex
const COMPLEX = /[\u0008\u001b]/;
// eslint-disable-next-line no-control-regex
const TOKENS = /\u001b\[[0-?]*[ -/]*[@-~]|[^]/gu;
// eslint-disable-next-line no-control-regex
const ERASE = /^\u001b\[[02]?K$/;

/** Return the text that is left when `\r` and backspaces have moved the cursor. */
export function asTerminal(text: string): string {
  if (!MOVES.test(text)) {
    return text;
  }
  return text
    .replace(/\r+\n/g, '\n')
    .split('\n')
    .map(line => (MOVES.test(line) ? overwrite(line) : line))
    .join('\n');
}

function overwrite(line: string): string {
  if (!COMPLEX.test(line)) {
    return line.split('\r').reduce((shown, next) => next + shown.slice(next.length));
  }
  const cells: (string | undefined)[] = [];
  let column = 0;
  let escapes = '';
  for (const [token] of line.matchAll(TOKENS)) {
    if (token === '\r') {
      column = 0;
    } else if (token === '\b') {
      column = Math.max(0, column - 1);
    } else if (ERASE.test(token)) {
      cells.length = token.includes('2') ? 0 : Math.min(cells.length, column);
    } else if (token.length > 2) {
      escapes += token;
    } else {
      cells[column] = escapes + token;
      column += 1;
      escapes = '';
    }
  }
  return Array.from(cells, cell => cell ?? ' ').join('') + escapes;
}
