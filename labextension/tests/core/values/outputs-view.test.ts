import { describe, expect, it, vi } from 'vitest';

import { mount } from '../../../src/core/component';
import type { Output } from '../../../src/core/types';
import { foldOutputs, joinStreams, MAX_LINES } from '../../../src/core/values/fold';
import { outputsView } from '../../../src/core/values/outputs-view';
import { asTerminal } from '../../../src/core/values/terminal';
import { FakeHost } from '../fake-host';
import { buttonOf, makeRoot, one } from '../helpers';

function stream(text: string, name = 'stdout'): Output {
  return { output_type: 'stream', name, text };
}

function display(data: object): Output {
  return { output_type: 'display_data', data, metadata: {} };
}

function numbered(count: number): string {
  return Array.from({ length: count }, (_, n) => `line ${n + 1}\n`).join('');
}

function show(outputs: Output[], host = new FakeHost(), root = makeRoot()): HTMLElement {
  mount(root, outputsView(host, outputs));
  return root;
}

function texts(root: HTMLElement): string[] {
  return [...root.querySelectorAll('.jp-PDFlow-text')].map(node => node.textContent);
}

async function drawn(): Promise<void> {
  await Promise.resolve();
  await Promise.resolve();
}

describe('asTerminal', () => {
  it.each([
    ['a\nb', 'a\nb'],
    [' 10%\r 50%\r100%\n', '100%\n'],
    ['abcdef\rxy', 'xycdef'],
    ['windows\r\nlines\r\r\n', 'windows\nlines\n'],
    ['10\b\b20', '20'],
    ['abc\b', 'abc'],
    ['\b\bx', 'x'],
    ['long text\r\u001b[Kend', 'end'],
    ['long text\u001b[2K\rend', 'end'],
    ['\u001b[31mred\u001b[0m\rRED', '\u001b[0mRED'],
    ['😀😀\b😁', '😀😁']
  ])('shows %j as %j', (text, shown) => {
    expect(asTerminal(text)).toBe(shown);
  });

  it('reads a progress bar of many states quickly', () => {
    const states = Array.from({ length: 20_000 }, (_, n) => `\r${n}`.padEnd(100, '#')).join('');
    expect(asTerminal(states)).toMatch(/^19999#+$/);
  });
});

describe('foldOutputs', () => {
  it('joins the texts of a stream, over which a progress bar is written', () => {
    const outputs = [stream('1%'), stream('\r9%'), stream('!', 'stderr'), stream('x')];
    expect(joinStreams(outputs).map(({ text }) => text)).toEqual(['9%', '!', 'x']);
    expect(outputs[0].text).toBe('1%');
  });

  it('leaves outputs as they are that are not long', () => {
    const outputs = [stream(numbered(MAX_LINES - 3)), display({ 'image/png': 'x'.repeat(1e6) })];
    expect(foldOutputs(outputs)).toEqual({ head: outputs, tail: [], amount: null });
  });

  it('returns the first and the last lines', () => {
    const { head, tail, amount } = foldOutputs([stream(numbered(20_000))]);
    expect(head).toEqual([stream(numbered(10).trimEnd())]);
    expect(tail[0].text).toMatch(/^line 19981\n[^]*line 20000$/);
    expect(amount).toBe('20,000 lines');
  });

  it.each([
    ['a text of one line', [stream('x'.repeat(5_000_000))]],
    ['a value', [display({ 'text/plain': 'y'.repeat(5_000_000) })]],
    ['an error', [{ output_type: 'error', traceback: ['z'.repeat(5_000_000)] }]],
    ['HTML', [display({ 'text/html': '<b>'.repeat(1_000_000), 'text/plain': 'b' })]],
    ['many outputs', Array.from({ length: 5000 }, (_, n) => display({ 'text/html': `${n}` }))],
    ['many empty outputs', Array.from({ length: 5000 }, () => display({}))]
  ])('returns a bounded part of %s', (_, outputs) => {
    const { head, tail, amount } = foldOutputs(outputs);
    expect(JSON.stringify([head, tail]).length).toBeLessThan(10_000);
    expect(amount).not.toBeNull();
  });

  it('keeps the order of the last outputs', () => {
    const outputs = Array.from({ length: 90 }, (_, n) => display({ 'text/plain': `${n}` }));
    const { head, tail } = foldOutputs(outputs);
    expect([head[0], head[9], tail[0], tail[19]]).toEqual([0, 9, 70, 89].map(n => outputs[n]));
  });
});

describe('outputsView', () => {
  it('shows text, images, and HTML as text', () => {
    const root = show([
      { output_type: 'stream', name: 'stdout', text: ['a\n', 'b'] },
      display({ 'image/png': 'iVBO\nRw0=', 'text/plain': 'Plot' }),
      display({ 'text/html': '<b>bold</b><script>x</script>' }),
      { output_type: 'error', ename: 'E', evalue: 'v', traceback: ['\u001b[31mE\u001b[0m: v'] }
    ]);
    expect(texts(root)).toEqual(['a\nb', 'bold', 'E: v']);
    const image = one<HTMLImageElement>(root, 'img');
    expect([image.src, image.alt]).toEqual(['data:image/png;base64,iVBORw0=', 'Plot']);
    expect(root.querySelector('script')).toBeNull();
  });

  it('shows SVG as an image, in which no script runs', () => {
    const svg = '<svg><script>alert(1)</script>\ud800</svg>';
    const root = show([display({ 'image/svg+xml': svg, 'text/plain': '<SVG object>' })]);
    expect(one<HTMLImageElement>(root, 'img').src).toMatch(/^data:image\/svg\+xml;utf8,%3Csvg/);
    expect(root.querySelector('script, svg')).toBeNull();
  });

  it('marks stderr', () => {
    const root = show([stream('bad', 'stderr')]);
    expect(one(root, '.jp-PDFlow-stderr').textContent).toBe('bad');
  });

  it('folds 20,000 lines, and shows them in a box on request', async () => {
    const root = show([stream(numbered(20_000))]);
    expect(root.textContent.match(/line \d+/g)).toHaveLength(MAX_LINES);
    const button = buttonOf(root, 'Show all 20,000 lines');
    button.focus();
    button.click();
    await drawn();
    expect(one(root, '.jp-PDFlow-scroll').textContent).toContain('line 10000\n');
    expect(document.activeElement).toBe(button);
    expect(button.textContent.trim()).toBe('Show less');
    button.click();
    await drawn();
    expect(root.textContent).not.toContain('line 10000\n');
  });

  it('follows a step that prints: the newest lines are shown', () => {
    const root = show([stream(numbered(50))]);
    const first = one(root, '.jp-PDFlow-text');
    show([stream(numbered(60))], new FakeHost(), root);
    expect(root.textContent).toContain('line 60');
    expect(one(root, '.jp-PDFlow-text')).toBe(first);
  });

  it('lets the host render outputs, each part again only if it has changed', async () => {
    const host = new FakeHost();
    const rendered: [unknown, HTMLElement][] = [];
    host.renderOutputs = (outputs, node) => void rendered.push([outputs, node]);
    const html = display({ 'text/html': '<b>x</b>' });
    const root = show([html], host);
    await drawn();
    expect(rendered).toEqual([[[html], one(root, '.jp-PDFlow-outputs > div')]]);
    show([structuredClone(html)], host, root);
    await drawn();
    expect(rendered).toHaveLength(1);
    show([html, stream(numbered(40))], host, root);
    await drawn();
    expect(rendered.map(([outputs]) => (outputs as Output[]).length)).toEqual([1, 2, 1]);
    expect(rendered[1][1]).not.toBe(rendered[2][1]);
  });

  it('lets the host forget the outputs when they leave the page', async () => {
    const host = new FakeHost();
    host.renderOutputs = vi.fn();
    const root = makeRoot();
    const unmount = mount(root, outputsView(host, [stream('x')]));
    await drawn();
    unmount();
    expect(host.renderOutputs).toHaveBeenLastCalledWith([], expect.anything());
  });
});
