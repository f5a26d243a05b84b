import { beforeEach, describe, expect, it } from 'vitest';

import { mount } from '../../../src/core/component';
import { jsonTree, PAGE_SIZE, STRING_LIMIT } from '../../../src/core/values/json-tree';
import { columnsOf, recordTable } from '../../../src/core/values/records';
import { buttonOf, makeRoot, one } from '../helpers';

const NESTED = { a: { b: 'deep', text: 'x'.repeat(80) }, n: 1 };

let root: HTMLElement;
beforeEach(() => (root = makeRoot()));

function show(...args: Parameters<typeof jsonTree>): void {
  mount(root, jsonTree(...args));
}

/** Expand details, as a click on the summary does. */
async function open(details: HTMLDetailsElement): Promise<void> {
  details.open = true;
  details.dispatchEvent(new Event('toggle'));
  await drawn();
}

/** Wait until what was requested is drawn. */
async function drawn(): Promise<void> {
  await Promise.resolve();
  await Promise.resolve();
}

describe('jsonTree', () => {
  it('shows a value with its label', () => {
    show(12.5, 'total');
    expect(root.textContent).toContain('total: 12.5');
  });

  it.each([
    [{ approved: true }, '{approved: true}'],
    [[1, 2, 3], '[1, 2, 3]'],
    [{ a: [{ 'b c': null }], s: 'x' }, '{a: [{"b c": null}], s: "x"}']
  ])('shows the short value %j as it is', (value, text) => {
    show(value, 'v');
    expect(one(root, '.jp-PDFlow-json-inline').textContent).toBe(text);
    expect(root.querySelector('details')).toBeNull();
  });

  it('builds children only when they are expanded', async () => {
    show(NESTED, 'event');
    expect(root.textContent).toContain('event: {a: {…}, n: 1}');
    expect(root.textContent).not.toContain('deep');
    await open(one(root, 'details'));
    await open(one(root, 'details details'));
    expect(root.textContent).toContain('b: "deep"');
  });

  it('keeps what is expanded when another value is shown', async () => {
    show(NESTED, 'event');
    await open(one(root, 'details'));
    show({ ...NESTED, a: { b: 'deeper', text: 'x'.repeat(80) }, n: 2 }, 'event');
    expect(one<HTMLDetailsElement>(root, 'details').open).toBe(true);
    expect(root.textContent).toContain('{b: "deeper"');
  });

  it('pages long lists, and moves the focus to the first new item', async () => {
    show(Array.from({ length: 250 }, (_, i) => i));
    expect(root.textContent).toContain('[250 items]');
    await open(one(root, 'details'));
    const leaves = (): Element[] => [...root.querySelectorAll('.jp-PDFlow-json-leaf')];
    expect(leaves()).toHaveLength(PAGE_SIZE);
    buttonOf(root, 'Show 100 more of 150').click();
    await drawn();
    expect(leaves()).toHaveLength(2 * PAGE_SIZE);
    expect(leaves()[PAGE_SIZE].contains(document.activeElement)).toBe(true);
    buttonOf(root, 'Show 50 more of 50').click();
    await drawn();
    expect(leaves()).toHaveLength(250);
  });

  it('truncates long strings, and expands them on request', async () => {
    const text = 'x'.repeat(1000);
    show(text);
    expect(root.textContent).not.toContain(text);
    const more = one<HTMLButtonElement>(root, '.jp-PDFlow-link');
    expect(more.textContent.trim()).toBe(`more (${1002 - STRING_LIMIT} characters)`);
    more.click();
    await drawn();
    expect(root.textContent).toContain(text);
    expect(more.getAttribute('aria-expanded')).toBe('true');
    more.click();
    await drawn();
    expect(root.textContent).not.toContain(text);
  });

  it('shows HTML in data as text', async () => {
    const html = '<img src=x onerror=alert(1)>';
    show({ '<b>k</b>': html, text: 'x'.repeat(80) }, '<i>l</i>');
    await open(one(root, 'details'));
    expect(root.querySelector('img, b, i')).toBeNull();
    expect(root.textContent).toContain(html);
  });

  it('shows empty values', () => {
    mount(root, [jsonTree([]), jsonTree({}), jsonTree(null), jsonTree(undefined)]);
    const values = [...root.querySelectorAll('.jp-PDFlow-json-value')];
    expect(values.map(node => node.textContent)).toEqual(['[]', '{}', 'null', 'null']);
  });

  it('links strings to files, also in short values', () => {
    show({ file: '/x' }, 'v', text => (text === '/x' ? '/url' : null));
    expect(one<HTMLAnchorElement>(root, 'a').getAttribute('href')).toBe('/url');
  });

  it('copies values, and confirms it', async () => {
    const copied: string[] = [];
    const clipboard = { writeText: (text: string) => Promise.resolve(void copied.push(text)) };
    Object.defineProperty(navigator, 'clipboard', { value: clipboard, configurable: true });
    show('yes', 'answer');
    buttonOf(root, 'Copy answer').click();
    await expect.poll(() => root.querySelector('[role=status]')?.textContent).toBe('Copied');
    expect(copied).toEqual(['yes']);
  });
});

describe('a list of flat objects', () => {
  const rows = Array.from({ length: 230 }, (_, n) => ({ name: `row ${n}`, n, tags: ['a', 'b'] }));
  const heads = (): string[] => [...root.querySelectorAll('th')].map(node => node.textContent);
  const count = (): number => root.querySelectorAll('tbody tr').length;

  it('is a table with the keys of all rows as columns, and can be a tree', async () => {
    show([...rows, { n: null, extra: '<b>' }], 'rows');
    expect(heads()).toEqual(['name', 'n', 'tags', 'extra']);
    const cells = [...one(root, 'tbody tr').children].map(cell => cell.textContent.trim());
    expect(cells).toEqual(['row 0', '0', '["a", "b"]', '']);
    expect(one(root, '[role=region]').getAttribute('aria-label')).toBe('rows');
    const tree = buttonOf(root, 'Tree');
    tree.click();
    await drawn();
    expect(root.querySelector('table')).toBeNull();
    expect(tree.getAttribute('aria-pressed')).toBe('true');
    expect(root.textContent).toContain('0: {name: "row 0", n: 0, tags: ["a", "b"]}');
  });

  it('shows 100 rows at a time, and the focus is not lost with the last of them', async () => {
    show(rows, 'rows');
    expect(count()).toBe(100);
    buttonOf(root, 'Show 100 more of 130 rows').click();
    await drawn();
    expect(count()).toBe(200);
    const last = buttonOf(root, 'Show 30 more rows');
    last.focus();
    last.click();
    await drawn();
    expect(count()).toBe(230);
    expect(document.activeElement).toBe(one(root, '[role=region]'));
  });

  it('shows 20 columns at first', async () => {
    const wide = Object.fromEntries(Array.from({ length: 23 }, (_, n) => [`c${n}`, n]));
    show([wide, wide]);
    expect(heads()).toHaveLength(20);
    buttonOf(root, 'Show 3 more columns').click();
    await drawn();
    expect(heads()).toHaveLength(23);
  });

  it.each([
    ['lists', [[1], [2]]],
    ['deep objects', [{ a: { b: 'x'.repeat(99) } }, { a: 1 }]],
    ['single values', ['x'.repeat(50), 'x'.repeat(50)]]
  ])('is no table if it has %s', (_, value) => {
    show(value);
    expect(root.querySelector('table')).toBeNull();
  });

  it('is looked at only at its beginning, and shows whatever follows', () => {
    const many: unknown[] = Array.from({ length: 1000 }, (_, n) => ({ n }));
    expect(columnsOf([...many, 'odd'])).toEqual(['n']);
    const rows = ['odd', { n: { deep: 'x'.repeat(99) } }];
    mount(root, recordTable({ rows, columns: ['n'], label: 'rows' }));
    const cells = [...root.querySelectorAll('td')].map(cell => cell.textContent.trim());
    expect(cells).toEqual(['odd', expect.stringMatching(/^\{deep: "x+…"\}$/)]);
  });
});
