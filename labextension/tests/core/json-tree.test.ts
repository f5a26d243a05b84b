import { beforeEach, describe, expect, it } from 'vitest';

import { jsonTree, PAGE_SIZE, STRING_LIMIT } from '../../src/core/json-tree';
import { buttonOf, makeRoot, one } from './helpers';

let root: HTMLElement;
beforeEach(() => (root = makeRoot()));

/** Expand details, as a click on the summary does. */
function open(details: HTMLDetailsElement): void {
  details.open = true;
  details.dispatchEvent(new Event('toggle'));
}

describe('jsonTree', () => {
  it('shows a value with its label', () => {
    root.append(jsonTree(12.5, 'total'));
    expect(root.textContent).toContain('total: 12.5');
  });

  it('builds children only when they are expanded', () => {
    root.append(jsonTree({ a: { b: 'deep' } }, 'event'));
    expect(root.textContent).toContain('event: {a}');
    expect(root.textContent).not.toContain('deep');
    open(one(root, 'details'));
    open(one(root, 'details details'));
    expect(root.textContent).toContain('b: "deep"');
  });

  it('pages long lists', () => {
    root.append(jsonTree(Array.from({ length: 250 }, (_, i) => i)));
    expect(root.textContent).toContain('[250 items]');
    open(one(root, 'details'));
    const leaves = (): number => root.querySelectorAll('.jp-PDFlow-json-leaf').length;
    expect(leaves()).toBe(PAGE_SIZE);
    buttonOf(root, 'Show 100 more of 150').click();
    expect(leaves()).toBe(2 * PAGE_SIZE);
    expect(root.contains(document.activeElement)).toBe(true);
    expect(document.activeElement).not.toBe(document.body);
    buttonOf(root, 'Show 50 more of 50').click();
    expect(leaves()).toBe(250);
  });

  it('truncates long strings, and expands them on request', () => {
    const text = 'x'.repeat(1000);
    root.append(jsonTree(text));
    expect(root.textContent).not.toContain(text);
    const more = buttonOf(root, `more (${1002 - STRING_LIMIT} characters)`);
    more.click();
    expect(root.textContent).toContain(text);
    more.click();
    expect(root.textContent).not.toContain(text);
  });

  it('shows HTML in data as text', () => {
    root.append(jsonTree({ '<b>k</b>': '<img src=x onerror=alert(1)>' }, '<i>l</i>'));
    open(one(root, 'details'));
    expect(root.querySelector('img, b, i')).toBeNull();
    expect(root.textContent).toContain('<img src=x onerror=alert(1)>');
  });

  it('shows empty values', () => {
    root.append(jsonTree([]), jsonTree({}), jsonTree(null), jsonTree(undefined));
    const values = [...root.querySelectorAll('.jp-PDFlow-json-value')];
    expect(values.map(node => node.textContent)).toEqual(['[]', '{}', 'null', 'null']);
  });

  it('copies values, and confirms it', async () => {
    const copied: string[] = [];
    const clipboard = { writeText: (text: string) => Promise.resolve(void copied.push(text)) };
    Object.defineProperty(navigator, 'clipboard', { value: clipboard, configurable: true });
    root.append(jsonTree('yes', 'answer'));
    buttonOf(root, 'Copy answer').click();
    await Promise.resolve();
    await Promise.resolve();
    expect(copied).toEqual(['yes']);
    expect(one(root, '[role=status]').textContent).toBe('Copied');
  });
});
