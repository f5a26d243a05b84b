const UNITS = ['kB', 'MB', 'GB', 'TB'];
/** Sizes from here on would be rounded to 1000.0, so they take the next unit. */
const MAX_OF_UNIT = 999.95;

/** Return a number of bytes as text, such as `1 byte` or `12.3 MB`. */
export function fileSize(bytes: number): string {
  if (bytes < 1000) {
    return `${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`;
  }
  let size = bytes / 1000;
  let unit = 0;
  while (size >= MAX_OF_UNIT && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size.toFixed(1)} ${UNITS[unit]}`;
}
