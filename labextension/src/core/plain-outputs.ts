import { el } from './dom';
import { stripAnsi } from './formatting';
import { joinLines } from './multiline';
import type { Output } from './types';

const IMAGES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];

/** Render outputs for hosts without a renderer: text and images as they are, HTML as its text. */
export function renderPlainOutputs(outputs: readonly Output[], parent: HTMLElement): void {
  parent.replaceChildren(...outputs.map(output => el('div', { class: 'output' }, draw(output))));
}

function draw(output: Output): HTMLElement {
  switch (output.output_type) {
    case 'stream':
      return text(joinLines(output.text), output.name === 'stderr' ? 'stderr' : 'stdout');
    case 'error':
      return text(
        lines(output.traceback) || `${joinLines(output.ename)}: ${joinLines(output.evalue)}`
      );
    default:
      return drawData((output.data ?? {}) as Record<string, unknown>);
  }
}

function drawData(data: Record<string, unknown>): HTMLElement {
  const image = IMAGES.find(type => type in data);
  if (image !== undefined) {
    const source = `data:${image};base64,${joinLines(data[image]).replace(/\s/g, '')}`;
    return el('img', { src: source, alt: joinLines(data['text/plain']) || 'Image' });
  }
  if ('image/svg+xml' in data) {
    const source = `data:image/svg+xml;utf8,${encodeURIComponent(joinLines(data['image/svg+xml']))}`;
    return el('img', { src: source, alt: joinLines(data['text/plain']) || 'Image' });
  }
  if ('text/plain' in data) {
    return text(joinLines(data['text/plain']));
  }
  if ('text/html' in data) {
    return text(htmlAsText(joinLines(data['text/html'])));
  }
  const other = data['text/markdown'] ?? data['text/latex'] ?? data['application/json'];
  return text(typeof other === 'object' ? JSON.stringify(other, null, 2) : joinLines(other));
}

/** Return the text of HTML. A parsed document runs no scripts and loads no images. */
function htmlAsText(html: string): string {
  const { body } = new DOMParser().parseFromString(html, 'text/html');
  body.querySelectorAll('script, style').forEach(node => node.remove());
  return (body.textContent || '').replace(/\n\s*\n/g, '\n').trim();
}

function text(value: string, kind = 'stdout'): HTMLElement {
  return el('pre', { class: `text ${kind}` }, stripAnsi(value));
}

function lines(value: unknown): string {
  return Array.isArray(value) ? value.map(joinLines).join('\n') : joinLines(value);
}
