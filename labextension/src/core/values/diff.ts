/** The differences of two texts, line by line. */

/** A line that both texts have, or only the first (`−`) or the second (`+`). */
export interface DiffLine {
  mark: ' ' | '+' | '−';
  text: string;
}

/** Maximum number of pairs of lines that are compared. */
const MAX_PAIRS = 1_000_000;

/**
 * Return the lines of two texts, with the smallest number of differences.
 *
 * If the texts differ in very many lines, all of these are returned as different.
 */
export function diffLines(before: string, after: string): DiffLine[] {
  const [old, now] = [linesOf(before), linesOf(after)];
  const isEqual = (one: number, other: number): boolean => old.at(one) === now.at(other);
  const shorter = Math.min(old.length, now.length);
  let start = 0;
  while (start < shorter && isEqual(start, start)) {
    start += 1;
  }
  let end = 0;
  while (end < shorter - start && isEqual(-1 - end, -1 - end)) {
    end += 1;
  }
  const middle = diffMiddle(old.slice(start, old.length - end), now.slice(start, now.length - end));
  const same = marked(' ');
  return [...old.slice(0, start).map(same), ...middle, ...old.slice(old.length - end).map(same)];
}

function diffMiddle(old: string[], now: string[]): DiffLine[] {
  if (old.length * now.length > MAX_PAIRS) {
    return [...old.map(marked('−')), ...now.map(marked('+'))];
  }
  const common = commonLengths(old, now);
  const lines: DiffLine[] = [];
  let [one, other] = [0, 0];
  while (one < old.length || other < now.length) {
    if (one < old.length && old[one] === now[other]) {
      lines.push({ mark: ' ', text: old[one] });
      one += 1;
      other += 1;
    } else if (one < old.length && common(one + 1, other) >= common(one, other + 1)) {
      lines.push({ mark: '−', text: old[one] });
      one += 1;
    } else {
      lines.push({ mark: '+', text: now[other] });
      other += 1;
    }
  }
  return lines;
}

/** Return the length of the longest common subsequence of what is left from two positions. */
function commonLengths(old: string[], now: string[]): (one: number, other: number) => number {
  const width = now.length + 1;
  const lengths = new Uint32Array((old.length + 1) * width);
  for (let one = old.length - 1; one >= 0; one -= 1) {
    for (let other = now.length - 1; other >= 0; other -= 1) {
      const at = one * width + other;
      lengths[at] =
        old[one] === now[other]
          ? lengths[at + width + 1] + 1
          : Math.max(lengths[at + width], lengths[at + 1]);
    }
  }
  return (one, other) => (other < width ? lengths[one * width + other] : -1);
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.split('\n');
}

function marked(mark: DiffLine['mark']): (text: string) => DiffLine {
  return text => ({ mark, text });
}
