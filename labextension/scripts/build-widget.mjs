// Bundles the notebook widget: one ES module and its style sheet, for anywidget.
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = path => fileURLToPath(new URL(`../${path}`, import.meta.url));
const shared = { bundle: true, minify: true, target: 'es2022', logLevel: 'warning' };
const outdir = here('../jupyter_pdflow/widgets/static');

await build({
  ...shared,
  entryPoints: [here('src/widget.ts')],
  format: 'esm',
  loader: { '.css': 'text' },
  outfile: `${outdir}/widget.js`
});
if (existsSync(here('style/base.css'))) {
  await build({
    ...shared,
    entryPoints: [here('style/base.css')],
    outfile: `${outdir}/widget.css`
  });
}
