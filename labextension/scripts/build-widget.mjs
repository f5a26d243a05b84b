// Bundles the notebook widget: one ES module and its style sheet, for anywidget.
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const resolve = path => fileURLToPath(new URL(`../${path}`, import.meta.url));
const options = { bundle: true, minify: true, target: 'es2022', logLevel: 'warning' };
const outdir = resolve('../jupyter_pdflow/widgets/static');

await build({
  ...options,
  entryPoints: [resolve('src/widget.ts')],
  format: 'esm',
  loader: { '.css': 'text' },
  outfile: `${outdir}/widget.js`
});
if (existsSync(resolve('style/base.css'))) {
  await build({
    ...options,
    entryPoints: [resolve('style/base.css')],
    outfile: `${outdir}/widget.css`
  });
}
