/** Outputs for pages without Jupyter's renderers: text and images as they are, HTML as its text. */
import type { TemplateResult } from 'lit';
import { html } from 'lit';
import { stripAnsi } from '../formatting';
import type { Output } from '../types';
import { joinLines } from './multiline';

const IMAGES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];
const SVG = 'image/svg+xml';
const TEXT = 'text/plain';

type Data = Record<string, unknown>;

/** Return an output with nothing but an image or a text. */
export function toPlain(output: Output): Output {
  if (output.output_type === 'stream' || output.output_type === 'error') {
    return output;
  }
  const data = (output.data ?? {}) as Data;
  const image = [...IMAGES, SVG].find(type => type in data);
  const text = textOf(data);
  return { ...output, data: { ...(image && { [image]: data[image] }), [TEXT]: text } };
}

function textOf(data: Data): string {
  if (TEXT in data) {
    return joinLines(data[TEXT]);
  }
  if ('text/html' in data) {
    return htmlAsText(joinLines(data['text/html']));
  }
  const other = data['text/markdown'] ?? data['text/latex'] ?? data['application/json'];
  return typeof other === 'object' && !Array.isArray(other)
    ? JSON.stringify(other, null, 2)
    : joinLines(other);
}

/** Return the text of HTML. A parsed document runs no scripts and loads no images. */
function htmlAsText(markup: string): string {
  const { body } = new DOMParser().parseFromString(markup, 'text/html');
  body.querySelectorAll('script, style').forEach(node => node.remove());
  return body.textContent.replace(/\n\s*\n/g, '\n').trim();
}

/** Return what {@link toPlain} has left of an output. */
export function plainOutput(output: Output): TemplateResult {
  switch (output.output_type) {
    case 'stream':
      return textBlock(joinLines(output.text), output.name === 'stderr' ? 'stderr' : 'stdout');
    case 'error':
      return textBlock(
        lines(output.traceback) || `${joinLines(output.ename)}: ${joinLines(output.evalue)}`
      );
    default:
      return data((output.data ?? {}) as Data);
  }
}

function data(bundle: Data): TemplateResult {
  const type = [...IMAGES, SVG].find(each => each in bundle);
  const text = joinLines(bundle[TEXT]);
  if (type === undefined) {
    return textBlock(text);
  }
  const content = joinLines(bundle[type]);
  const source =
    type === SVG
      ? `utf8,${encodeURIComponent(content.replace(/\p{Surrogate}/gu, ''))}`
      : `base64,${content.replace(/\s/g, '')}`;
  return html`<div class="jp-PDFlow-output">
    <img src=${`data:${type};${source}`} alt=${text || 'Image'} />
  </div>`;
}

/** Return a text with its line breaks; long lines are wrapped. */
function textBlock(text: string, kind = 'stdout'): TemplateResult {
  const classes = `jp-PDFlow-text jp-PDFlow-${kind}`;
  return html`<div class="jp-PDFlow-output"><pre class=${classes}>${stripAnsi(text)}</pre></div>`;
}

function lines(value: unknown): string {
  return Array.isArray(value) ? value.map(joinLines).join('\n') : joinLines(value);
}
