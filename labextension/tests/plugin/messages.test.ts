import { describe, expect, it } from 'vitest';
import { placeIn, shortText, warningsIn } from '../../src/plugin/messages';

describe('shortText', () => {
  it('keeps what fits, and else the first sentence', () => {
    expect(shortText('Deployed v4.')).toBe('Deployed v4.');
    const rest = 'That is said at length. '.repeat(10);
    expect(shortText(`Step 'ask' differs: ${rest}`)).toBe("Step 'ask' differs.");
    expect(shortText(`Use pd.flow first. ${rest}`)).toBe('Use pd.flow first.');
  });

  it('cuts a first sentence that does not fit', () => {
    const text = shortText('x'.repeat(200));
    expect(text).toHaveLength(140);
    expect(text.endsWith('…')).toBe(true);
  });
});

describe('placeIn', () => {
  it('finds the step or the cell that a message names', () => {
    expect(placeIn("Step 'ask' has a syntax error in line 2: bad.")).toEqual({ step: 'ask' });
    expect(placeIn('Cell 3 of the notebook has a syntax error.')).toEqual({ cell: 3 });
    expect(placeIn('The server did not answer.')).toBeNull();
  });
});

describe('warningsIn', () => {
  it('leaves out what a deploy says without a warning', () => {
    const done = 'Production mode: order is deployed as v4.\nStep cells show its latest run.';
    expect(warningsIn(done)).toEqual([]);
    expect(warningsIn(`${done}\nThe module x was not found.\n`)).toEqual([
      'The module x was not found.'
    ]);
  });
});
