const UNITS = ['kB', 'MB', 'GB', 'TB'];
/** What would be rounded to a thousand has the next unit. */
const MOST = 999.95;

/** Write a number of bytes: `1 byte`, `12.3 MB`. */
export function fileSize(bytes: number): string {
  if (bytes < 1000) {
    return `${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`;
  }
  let size = bytes / 1000;
  let unit = 0;
  while (size >= MOST && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size.toFixed(1)} ${UNITS[unit]}`;
}
