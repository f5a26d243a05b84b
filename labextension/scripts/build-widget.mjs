// Bundles the notebook widget for anywidget, a small loader, and what it loads once per page: the
// module of the views and their style sheet.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { minifyTemplates } from './minify-templates.mjs';

/** Maximum sizes in bytes. Each widget has a loader; a page loads the views once. */
const LIMITS = {
  'widget.js': { raw: 8_000 },
  'views.js': { raw: 150_000, gzipped: 60_000 }
};

const resolve = path => fileURLToPath(new URL(`../${path}`, import.meta.url));
const options = { bundle: true, minify: true, target: 'es2022', logLevel: 'warning' };
const outdir = resolve('../jupyter_pdflow/widgets/static');
const readBuilt = name => readFile(`${outdir}/${name}`);

const smallTemplates = {
  name: 'small-templates',
  setup({ onLoad, onResolve, resolve: find }) {
    // The package itself also has custom elements, which no view uses.
    onResolve({ filter: /^lit$/ }, ({ path, ...from }) => find(`${path}/html.js`, from));
    onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
      return { contents: minifyTemplates(await readFile(path, 'utf8'), path), loader: 'ts' };
    });
  }
};

/** Return the hash by which the loader asks for the views; bundle.py computes it, too. */
async function viewsVersion() {
  const hash = createHash('sha256');
  for (const name of ['views.js', 'views.css']) {
    hash.update(await readBuilt(name));
  }
  return hash.digest('hex').slice(0, 16);
}

/** Print a file's sizes, and return whether it is too large. */
async function checkSize(name) {
  const content = await readBuilt(name);
  const sizes = { raw: content.length, gzipped: gzipSync(content, { level: 9 }).length };
  const [raw, gzipped] = Object.values(sizes).map(size => size.toLocaleString('en'));
  console.log(`${name} has ${raw} bytes, ${gzipped} gzipped.`);
  const exceeded = Object.entries(LIMITS[name] ?? {}).filter(
    ([kind, limit]) => sizes[kind] > limit
  );
  for (const [kind, limit] of exceeded) {
    console.error(`That is too much: it may have ${limit.toLocaleString('en')} bytes ${kind}.`);
  }
  return exceeded.length > 0;
}

await rm(outdir, { recursive: true, force: true });
await build({
  ...options,
  entryPoints: [resolve('src/views.ts')],
  format: 'esm',
  plugins: [smallTemplates],
  outfile: `${outdir}/views.js`
});
await build({
  ...options,
  entryPoints: [resolve('style/views.css')],
  outfile: `${outdir}/views.css`
});
await build({
  ...options,
  define: { PDFLOW_VIEWS_VERSION: JSON.stringify(await viewsVersion()) },
  entryPoints: [resolve('src/widget.ts')],
  format: 'esm',
  outfile: `${outdir}/widget.js`
});
for (const name of ['widget.js', 'views.js', 'views.css']) {
  process.exitCode = (await checkSize(name)) ? 1 : process.exitCode;
}
