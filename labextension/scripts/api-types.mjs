// Writes src/core/api.ts, the types of the REST API, from the schemas of its description. With
// --check it only says whether the file is up to date.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import openapiTS, { astToString } from 'openapi-typescript';
import { format, resolveConfig } from 'prettier';
import { parse } from 'yaml';

const resolve = path => fileURLToPath(new URL(`../${path}`, import.meta.url));
const DESCRIPTION = resolve('../jupyter_pdflow/server/api/openapi.yaml');
const TYPES = resolve('src/core/api.ts');
const HEAD = '// Made from jupyter_pdflow/server/api/openapi.yaml by `jlpm api`.\n\n';

/** The routes that the front end calls. The public links are for other clients. */
const ROUTES = '/pdflow/api/';

/** Return the types of all schemas, and of the routes of the API. */
async function makeTypes() {
  // The limit of aliases is for files of others.
  const text = await readFile(DESCRIPTION, 'utf8');
  const { openapi, info, components, paths } = parse(text, { maxAliasCount: -1 });
  const own = Object.entries(paths).filter(([path]) => path.startsWith(ROUTES));
  const description = { openapi, info, paths: Object.fromEntries(own), components };
  const nodes = await openapiTS(description, {
    defaultNonNullable: false,
    emptyObjectsUnknown: true,
    silent: true
  });
  const options = { ...(await resolveConfig(TYPES)), parser: 'typescript' };
  return format(HEAD + astToString(nodes), options);
}

const types = await makeTypes();
if (!process.argv.includes('--check')) {
  await writeFile(TYPES, types);
} else if ((await readFile(TYPES, 'utf8')) !== types) {
  console.error('src/core/api.ts is not up to date: run jlpm api');
  process.exitCode = 1;
}
