import { describe, expect, it } from 'vitest';
import type { Output } from '../../src/core/types';
import { asReadOnly, safeOutput } from '../../src/plugin/safe-output';

const stream = (text: string): Output => ({ output_type: 'stream', name: 'stdout', text });
const display = (data: Record<string, unknown>): Output => {
  return { output_type: 'display_data', metadata: {}, data };
};

describe('safeOutput', () => {
  it('makes an SVG an image, and drops widgets', () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>x</script></svg>';
    const { data } = safeOutput(display({ 'image/svg+xml': [svg], 'text/plain': '<SVG "a">' }));
    const html = (data as Record<string, string>)['text/html'];
    expect(html).toContain('src="data:image/svg+xml;charset=utf-8,%3Csvg');
    expect(html).not.toContain('<script');
    expect(data).not.toHaveProperty('image/svg+xml');
    const widget = { 'application/vnd.jupyter.widget-view+json': { model_id: 'a' } };
    expect(safeOutput(display({ ...widget, 'text/plain': '10/10' })).data).toEqual({
      'text/plain': '10/10'
    });
    expect(safeOutput(display(widget)).data).toEqual({ 'text/plain': 'A widget' });
    expect(safeOutput(stream('a'))).toEqual(stream('a'));
  });
});

describe('asReadOnly', () => {
  it('lets no cell be edited or trusted', () => {
    const cell = { cell_type: 'code', source: '1', metadata: { trusted: true, tags: ['a'] } };
    const { cells } = asReadOnly({ nbformat: 4, nbformat_minor: 5, metadata: {}, cells: [cell] });
    expect(cells[0].metadata).toEqual({ editable: false, trusted: false, tags: ['a'] });
    expect(cell.metadata.trusted).toBe(true);
  });
});
