import { describe, expect, it } from 'vitest';
import { startingNotebook } from '../../src/plugin/starting-notebook';
import { readCode } from '../../src/plugin/step-code';

describe('startingNotebook', () => {
  it('is a workflow whose second step reads the answer to the first', () => {
    const { cells } = startingNotebook();
    const texts = cells.map(({ cell_type: type, source }) => {
      return { id: '', type, source: String(source), tags: [] };
    });
    const { setup, steps } = readCode(texts);
    expect(setup).toEqual(['%load_ext jupyter_pdflow']);
    expect(steps.map(({ name }) => name)).toEqual(['ask', 'tell']);
    expect(steps[0].source).toContain('pd.flow.suspend');
    expect(steps[1].source).toContain('pd.steps["ask"]["$resume_data"]');
  });
});
