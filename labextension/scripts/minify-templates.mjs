// Makes prettier's line breaks and indents in lit's templates single spaces. They can't go, because
// some separate inline elements.
import ts from 'typescript';

/** The elements whose white space is shown. */
const VERBATIM = /(<(?:pre|textarea)\b(?:"[^"]*"|[^>"])*>[^]*?<\/(?:pre|textarea)>)/;
/** Stands for an expression. It is in no template. */
const HOLE = '\uE000';

/** Return a template's HTML, in which `HOLE` stands for each expression, without its layout. */
function minifyTemplate(html) {
  const parts = html.split(VERBATIM);
  // `split` returns each match between the texts around it.
  return parts.map((part, index) => (index % 2 ? part : part.replace(/\s+/g, ' '))).join('');
}

/** Return a module's source with its templates minified. */
export function minifyTemplates(source, path) {
  const file = ts.createSourceFile(path, source, ts.ScriptTarget.ES2022, true);
  const edits = [];
  const visit = node => {
    if (ts.isTaggedTemplateExpression(node) && /^(html|svg)$/.test(node.tag.getText())) {
      edits.push(...editsOf(node.template, source));
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  edits.sort((one, other) => other.start - one.start);
  return edits.reduce(
    (text, { start, end, html }) => text.slice(0, start) + html + text.slice(end),
    source
  );
}

/** Return the changes of a template's literal parts, which begin and end with one or two signs. */
function editsOf(template, source) {
  const literals = ts.isNoSubstitutionTemplateLiteral(template)
    ? [template]
    : [template.head, ...template.templateSpans.map(span => span.literal)];
  const ranges = literals.map(literal => {
    const end = literal.getEnd() - (source[literal.getEnd() - 1] === '`' ? 1 : 2);
    return { start: literal.getStart() + 1, end };
  });
  const texts = ranges.map(({ start, end }) => source.slice(start, end));
  const minified = minifyTemplate(texts.join(HOLE)).split(HOLE);
  return ranges.map((range, index) => ({ ...range, html: minified[index] }));
}
