/** The routes of the REST API, with the types of their answers from its description. */
import type { paths } from './api';

type JsonBody = { content: { 'application/json': unknown } };

type Method = 'get' | 'post';

/** The answer of a route: that of the status 200, or of 201 if it makes something. */
export type Answer<P extends keyof paths, M extends Method> = paths[P][M] extends {
  responses: { 200: JsonBody };
}
  ? paths[P][M]['responses'][200]['content']['application/json']
  : paths[P][M] extends { responses: { 201: JsonBody } }
    ? paths[P][M]['responses'][201]['content']['application/json']
    : never;

/** The body that a route takes; an empty object if it takes none. */
export type Body<P extends keyof paths> = paths[P]['post'] extends {
  requestBody?: { content: { 'application/json': infer B } };
}
  ? unknown extends B
    ? Record<string, never>
    : B
  : Record<string, never>;

/** The query that a route takes. */
export type Query<P extends keyof paths> = paths[P]['get'] extends {
  parameters: { query?: infer Q };
}
  ? NonNullable<Q>
  : never;

/** The routes that are read, and answer in JSON. */
export type Readable = {
  [P in keyof paths]: [Answer<P, 'get'>] extends [never] ? never : P;
}[keyof paths];

/** The routes that change something. */
export type Writable = {
  [P in keyof paths]: [Answer<P, 'post'>] extends [never] ? never : P;
}[keyof paths];

/** The names of a route's parameters: `run_id` of `/runs/{run_id}`. */
export type Names<P extends string> = P extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Names<Rest>
  : never;

/** Return the path of a route with its parameters. */
export function pathOf<P extends keyof paths>(route: P, names: Record<Names<P>, string>): string {
  const values = names as Record<string, string>;
  return route.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
}

/** Return parameters as the query of a URL. Those without a value are left out. */
export function queryOf(parameters: object): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== '') {
      search.set(name, String(value));
    }
  }
  const text = search.toString();
  return text && `?${text}`;
}
