/** Return a module's source with its templates minified. */
export function minifyTemplates(source: string, path: string): string;
