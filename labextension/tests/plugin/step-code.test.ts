import { describe, expect, it } from 'vitest';
import {
  compare,
  describeEdits,
  hasEdits,
  loadsExtension,
  readCode,
  splitStep,
  type CellText
} from '../../src/plugin/step-code';

const LOAD = '%load_ext jupyter_pdflow';

function cell(id: string, source: string, tags: string[] = [], type = 'code'): CellText {
  return { id, type, source, tags };
}

function version(
  steps: Record<string, string>,
  setup: string[] = []
): Parameters<typeof compare>[1] {
  return {
    kernel_name: 'python3',
    queue: 'default',
    setup,
    steps: Object.entries(steps).map(([name, source]) => ({ name, source })),
    modules: []
  };
}

describe('splitStep', () => {
  it('returns the name and the lines below the first', () => {
    expect(splitStep('%%step ask\nx = 1\n\n')).toEqual({ name: 'ask', body: 'x = 1' });
    expect(splitStep('\n\n%%step  ask  \nx = 1')).toEqual({ name: 'ask', body: 'x = 1' });
    expect(splitStep('%%step')).toEqual({ name: '', body: '' });
  });

  it('leaves out a common indent', () => {
    const source = '  %%step ask\n  def handler(pd):\n\n      return 1';
    expect(splitStep(source)).toEqual({ name: 'ask', body: 'def handler(pd):\n\n    return 1' });
  });

  it('returns null for other cells', () => {
    for (const source of ['', 'x = 1', '# %%step ask', '%%steps ask', 'x\n%%step ask']) {
      expect(splitStep(source)).toBeNull();
    }
  });
});

describe('readCode', () => {
  it('takes as setup what is above the first step, and what is tagged', () => {
    const code = readCode([
      cell('1', '# Title', [], 'markdown'),
      cell('2', `${LOAD}\n`),
      cell('3', '  \n'),
      cell('4', 'explore()', ['skip']),
      cell('5', '%%step draft\npass', ['skip']),
      cell('6', 'import os'),
      cell('7', '%%step ask\npass'),
      cell('8', 'explore()'),
      cell('9', 'helper = 1', ['setup']),
      cell('10', '%%step tell\nprint()')
    ]);
    expect(code.setup).toEqual([LOAD, 'import os', 'helper = 1']);
    expect(code.steps).toEqual([
      { cell: '7', index: 6, name: 'ask', source: 'pass' },
      { cell: '10', index: 9, name: 'tell', source: 'print()' }
    ]);
  });

  it('takes no setup without a step, but what is tagged', () => {
    const code = readCode([cell('1', 'import os'), cell('2', 'x = 1', ['setup'])]);
    expect(code).toEqual({ setup: ['x = 1'], steps: [] });
  });
});

describe('compare', () => {
  const deployed = version({ ask: 'pass', tell: 'print()' }, ['import os']);
  const cells = [
    cell('1', 'import os'),
    cell('2', '%%step ask\npass'),
    cell('3', '%%step tell\nprint()')
  ];

  it('finds nothing in the same code', () => {
    const edits = compare(readCode(cells), deployed);
    expect(hasEdits(edits)).toBe(false);
    expect(describeEdits(edits)).toBe('');
  });

  it('finds edited, new and removed steps by their cells', () => {
    const code = readCode([
      cells[0],
      cell('2', '%%step ask\nreturn 1'),
      cell('4', '%%step send\npass')
    ]);
    const edits = compare(code, deployed);
    expect([...edits.cells]).toEqual([
      ['2', { name: 'ask', kind: 'edited' }],
      ['4', { name: 'send', kind: 'new' }]
    ]);
    expect(edits.removed).toEqual(['tell']);
    expect(describeEdits(edits)).toBe('step ask, new step send, step tell was removed');
  });

  it('finds another setup, and another order', () => {
    const setup = compare(readCode([cell('1', 'import re'), cells[1], cells[2]]), deployed);
    expect(setup.cells.size).toBe(0);
    expect(describeEdits(setup)).toBe('the setup');
    const order = compare(readCode([cells[0], cells[2], cells[1]]), deployed);
    expect(describeEdits(order)).toBe('the order of the steps');
    expect(hasEdits(order)).toBe(true);
  });

  it('takes a renamed step for a new one', () => {
    const edits = compare(
      readCode([...cells.slice(0, 2), cell('3', '%%step say\nprint()')]),
      deployed
    );
    expect(edits.cells.get('3')).toEqual({ name: 'say', kind: 'new' });
    expect(edits.removed).toEqual(['tell']);
    expect(edits.hasOtherOrder).toBe(false);
  });
});

describe('loadsExtension', () => {
  it('finds the line in code cells only', () => {
    expect(loadsExtension(cell('1', `import os\n${LOAD}`))).toBe(true);
    expect(loadsExtension(cell('1', '%reload_ext jupyter_pdflow'))).toBe(true);
    expect(loadsExtension(cell('1', LOAD, [], 'markdown'))).toBe(false);
    expect(loadsExtension(cell('1', '%load_ext jupyter_pdflow_other'))).toBe(false);
    expect(loadsExtension(cell('1', `# ${LOAD}`))).toBe(false);
  });
});
