import { expect, it } from 'vitest';
import { minifyTemplates } from '../../scripts/minify-templates.mjs';

function minified(source: string): string {
  return minifyTemplates(source, 'view.ts');
}

it('makes layout single spaces, which separate inline elements', () => {
  const source = 'html`<p>\n    ${a}\n    <b>b</b>\n    c\n  </p>`';
  expect(minified(source)).toBe('html`<p> ${a} <b>b</b> c </p>`');
});

it('minifies templates in templates, and tags with attributes on lines of their own', () => {
  const source =
    'html`<ul\n  class=${x}\n>\n  ${items.map(\n  item => html`<li>\n  ${item}</li>`\n)}</ul>`';
  expect(minified(source)).toBe(
    'html`<ul class=${x} > ${items.map(\n  item => html`<li> ${item}</li>`\n)}</ul>`'
  );
});

it('leaves preformatted text, expressions and other strings as they are', () => {
  for (const source of [
    'html`<pre title="a > b">\n${text}\n  x</pre>`',
    'html`<textarea>\n  ${text}</textarea>`',
    'html`${`a\n  b`}`',
    '`a\n  b`; css`a\n  b`'
  ]) {
    expect(minified(source)).toBe(source);
  }
});

it('keeps escapes and all parts of a template', () => {
  const source = 'const view = html`\\${x}\n${a}${b}\n\\`<i>${c}</i>`;\nnext();';
  expect(minified(source)).toBe('const view = html`\\${x} ${a}${b} \\`<i>${c}</i>`;\nnext();');
});
