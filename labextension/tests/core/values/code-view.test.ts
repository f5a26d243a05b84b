import { beforeEach, describe, expect, it } from 'vitest';

import { mount } from '../../../src/core/component';
import type { Version } from '../../../src/core/types';
import { codeView } from '../../../src/core/values/code-view';
import { diffLines } from '../../../src/core/values/diff';
import { FakeHost, makeRun, makeWorkflow } from '../fake-host';
import { buttonOf, makeRoot, one, shownText } from '../helpers';

function diffText(before: string, after: string): string[] {
  return diffLines(before, after).map(({ mark, text }) => mark + text);
}

describe('diffLines', () => {
  it.each([
    ['', '', []],
    ['a\nb', 'a\nb', [' a', ' b']],
    ['', 'a', ['+a']],
    ['a', '', ['−a']],
    ['a\nb\nc', 'a\nx\nc', [' a', '−b', '+x', ' c']],
    ['a\nb', 'b\na', ['−a', ' b', '+a']],
    ['a\na', 'a\na\na', [' a', ' a', '+a']],
    ['1\n2\n3\n4\n5', '1\n3\n5\n6', [' 1', '−2', ' 3', '−4', ' 5', '+6']]
  ])('compares %j with %j', (before, after, lines) => {
    expect(diffText(before, after)).toEqual(lines);
  });

  it('contains both texts, whatever they are', () => {
    const words = ['a', 'b', 'c'];
    for (let number = 0; number < 3 ** 6; number += 1) {
      const digits = Array.from(number.toString(3).padStart(6, '0'), Number);
      const [before, after] = [digits.slice(0, 3), digits.slice(3)].map(part =>
        part.map(digit => words[digit]).join('\n')
      );
      const lines = diffLines(before, after);
      const without = (mark: string): string =>
        lines.flatMap(line => (line.mark === mark ? [] : [line.text])).join('\n');
      expect([without('+'), without('−')]).toEqual([before, after]);
    }
  });

  it('does not compare each pair of very many lines', () => {
    const many = (name: string): string =>
      Array.from({ length: 50_000 }, (_, n) => `${name}${n}`).join('\n');
    expect(diffLines(`x\n${many('a')}`, `x\n${many('b')}`)).toHaveLength(100_001);
  });
});

const PAY = 'def handler(pd):\n    a = 1\n    b = 2\n    c = 3\n    d = 4\n    e = 5\n    return e';
const run = makeRun('r1', { version: 'one', workflow_id: 'w' });

function version(id: string, number: number, pay: string, more = {}): Version {
  const source = {
    kernel_name: 'python3',
    queue: 'default',
    setup: ['import x'],
    steps: [
      { name: 'ask', source: 'def handler(pd): ...' },
      { name: 'pay', source: pay }
    ],
    modules: [{ name: 'rates', path: 'lib/rates.py', source: 'RATE = 2' }],
    ...more
  };
  return { ...makeWorkflow('w', { version: id, number }), source };
}

let host: FakeHost;
let root: HTMLElement;
beforeEach(() => {
  host = new FakeHost();
  root = makeRoot();
  host.sources.set('one', version('one', 1, PAY));
});

async function show(): Promise<string> {
  mount(root, codeView(host, run));
  await expect.poll(() => root.querySelector('.jp-PDFlow-code')).not.toBeNull();
  return shownText(root);
}

async function showChanges(): Promise<string[]> {
  buttonOf(root, 'Changes').click();
  await expect.poll(() => root.querySelector('[data-mark]')).not.toBeNull();
  return [...root.querySelectorAll('pre > span')].map(line => line.textContent);
}

function newest(source: Version): void {
  host.sources.set(source.version, source);
  host.workflow = id => Promise.resolve(makeWorkflow(id, source));
}

describe('codeView', () => {
  it('shows each part of the code with a heading', async () => {
    newest(version('one', 1, PAY));
    expect(await show()).toMatch(/^Version v1, deployed .*It is the newest version\./);
    const heads = [...root.querySelectorAll('h4')].map(node => node.textContent);
    expect(heads).toEqual(['Setup', 'Step ask', 'Step pay', 'Module lib/rates.py']);
    expect([...root.querySelectorAll('pre')].map(node => node.textContent)[2]).toBe(PAY);
    expect(() => buttonOf(root, 'Changes')).toThrow();
  });

  it('says that the open notebook has the same code', async () => {
    host.cellSource = (_workflow, step) => (step === 'pay' ? `${PAY}\n` : 'def handler(pd): ...');
    expect(await show()).toContain('Its steps have not changed in the open notebook.');
    expect(host.callsOf('workflow')).toEqual([]);
  });

  it('marks how a cell of the open notebook differs', async () => {
    host.cellSource = (_workflow, step) =>
      step === 'pay' ? PAY.replace('e = 5', 'e = 6\n    print(e)') : 'def handler(pd): ...';
    expect(await show()).toContain('1 part differs from the open notebook');
    expect(await showChanges()).toEqual([
      '⋯',
      '      b = 2',
      '      c = 3',
      '      d = 4',
      '−     e = 5',
      '+     e = 6',
      '+     print(e)',
      '      return e'
    ]);
    expect([...root.querySelectorAll('h4')].map(node => node.textContent)).toEqual(['Step pay']);
  });

  it('shows steps that the open notebook has not any more', async () => {
    host.cellSource = (_workflow, step) => (step === 'pay' ? null : 'def handler(pd): ...');
    await show();
    await showChanges();
    expect(one(root, 'h4').textContent).toBe('Step pay (removed)');
  });

  it('compares with the newest version if no notebook is open', async () => {
    host.cellSource = () => null;
    newest(version('two', 2, PAY, { setup: ['import y'], modules: [] }));
    expect(await show()).toContain('2 parts differ from v2, the newest version');
    expect(await showChanges()).toEqual(['− import x', '+ import y', '− RATE = 2']);
  });

  it('shows an error, and reads the code again on request', async () => {
    newest(version('one', 1, PAY));
    host.errors.source = new Error('Odd.');
    mount(root, codeView(host, run));
    await expect.poll(() => shownText(root)).toContain('Odd.');
    delete host.errors.source;
    buttonOf(root, 'Try again').click();
    await expect.poll(() => shownText(root)).toContain('Version v1');
  });
});
