/** The code of a notebook's workflow, and how it differs from a deployed version. */
import type { Version } from '../core/types';

/** What is read of a cell. */
export interface CellText {
  id: string;
  type: string;
  source: string;
  tags: readonly string[];
}

/** A step cell; its source is what a deployed version has: the lines below the first. */
export interface StepCell {
  /** The cell's id. */
  cell: string;
  /** The cell's place in the notebook, from 0. */
  index: number;
  name: string;
  source: string;
}

/** What production would run of a notebook. */
export interface NotebookCode {
  setup: readonly string[];
  steps: readonly StepCell[];
}

/** How a notebook differs from a deployed version. */
export interface Edits {
  /** The steps whose code differs, and those that the version does not have, by cell id. */
  cells: ReadonlyMap<string, { name: string; kind: 'edited' | 'new' }>;
  /** The names of the steps that only the version has. */
  removed: readonly string[];
  hasOtherSetup: boolean;
  hasOtherOrder: boolean;
}

/** A notebook without differences. */
export const NO_EDITS: Edits = {
  cells: new Map(),
  removed: [],
  hasOtherSetup: false,
  hasOtherOrder: false
};

const STEP_LINE = /^%%step(?=\s|$)(.*)$/;
const LOAD_LINE = /^[ \t]*%(?:re)?load_ext[ \t]+jupyter_pdflow\b/m;

/** Split a step cell into its name and the lines below; null if the cell is not a step. */
export function splitStep(source: string): { name: string; body: string } | null {
  const lines = source.split(/\r\n|\r|\n/);
  const first = lines.findIndex(line => line.trim() !== '');
  if (first < 0 || !lines[first].trimStart().startsWith('%%step')) {
    return null;
  }
  const rest = /^\s/.test(lines[first]) ? dedent(lines.slice(first)) : lines.slice(first);
  const match = STEP_LINE.exec(rest[0]);
  return match && { name: match[1].trim(), body: rest.slice(1).join('\n').trimEnd() };
}

/** Return what production would run of these cells. */
export function readCode(cells: Iterable<CellText>): NotebookCode {
  const code = [...cells]
    .map((cell, index) => ({ ...cell, index, step: splitStep(cell.source) }))
    .filter(({ type, tags }) => type === 'code' && !tags.includes('skip'));
  const steps = code.flatMap(({ id, index, step }) =>
    step ? [{ cell: id, index, name: step.name, source: step.body }] : []
  );
  const firstStep = steps.at(0)?.index ?? -1;
  const setup = code
    .filter(({ step, index, tags }) => !step && (index < firstStep || tags.includes('setup')))
    .map(({ source }) => source.trimEnd())
    .filter(source => source !== '');
  return { setup, steps };
}

/** Return how a notebook differs from a version. */
export function compare(code: NotebookCode, version: Version['source']): Edits {
  const deployed = new Map(version.steps.map(({ name, source }) => [name, source]));
  const names = code.steps.map(({ name }) => name);
  const cells = new Map<string, { name: string; kind: 'edited' | 'new' }>();
  for (const { cell, name, source } of code.steps) {
    if (deployed.get(name) !== source) {
      cells.set(cell, { name, kind: deployed.has(name) ? 'edited' : 'new' });
    }
  }
  const both = version.steps.map(({ name }) => name).filter(name => names.includes(name));
  return {
    cells,
    removed: [...deployed.keys()].filter(name => !names.includes(name)),
    hasOtherSetup: !isEqual(code.setup, version.setup),
    hasOtherOrder: !isEqual(
      names.filter(name => deployed.has(name)),
      both
    )
  };
}

/** Whether there are any differences. */
export function hasEdits({ cells, removed, hasOtherSetup, hasOtherOrder }: Edits): boolean {
  return cells.size > 0 || removed.length > 0 || hasOtherSetup || hasOtherOrder;
}

/** Return what was edited as words, such as `step total and the setup`; empty for no edits. */
export function describeEdits({ cells, removed, hasOtherSetup, hasOtherOrder }: Edits): string {
  const found = [...cells.values()];
  const edited = found.filter(({ kind }) => kind === 'edited').map(({ name }) => `step ${name}`);
  const added = found.filter(({ kind }) => kind === 'new').map(({ name }) => `new step ${name}`);
  const parts = [
    ...edited,
    ...added,
    ...removed.map(name => `step ${name} was removed`),
    ...(hasOtherOrder ? ['the order of the steps'] : []),
    ...(hasOtherSetup ? ['the setup'] : [])
  ];
  return parts.join(', ');
}

/** Whether a cell loads the extension. */
export function loadsExtension({ type, source }: CellText): boolean {
  return type === 'code' && LOAD_LINE.test(source);
}

function dedent(lines: string[]): string[] {
  const indents = lines
    .filter(line => line.trim() !== '')
    .map(line => /^[ \t]*/.exec(line)?.[0] ?? '');
  const common = indents.reduce((one, other) => commonPrefix(one, other));
  return lines.map(line => (line.trim() === '' ? '' : line.slice(common.length)));
}

function commonPrefix(one: string, other: string): string {
  let length = 0;
  while (length < one.length && one[length] === other[length]) {
    length++;
  }
  return one.slice(0, length);
}

function isEqual(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((each, index) => each === other[index]);
}
